"""The file for Prefect's own `prefect deploy`, with the same deployments as `nightcast deploy`."""

from collections.abc import Sequence
from typing import Any, cast

import yaml
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment

from deployments.catalogue import deployments_of
from deployments.registration import Pool, assign
from forecasting.errors import NightcastError
from forecasting.panel import Panel

# `prefect deploy` replaces these by the environment's values, or by empty text if a variable is not set. With
# empty text, workers would write to a folder that is deleted after the run. So a build step fails then.
_PLACES = {"store": "NIGHTCAST_STORE", "panels": "NIGHTCAST_PANELS"}
_HEADER = """\
# Made from the panels; change those, not this file: nightcast deploy --yaml deployments/prefect.yaml
#
# Registers the same deployments as `nightcast deploy`, but for the choice of panels in their forms, in a work
# pool that is there already, and nothing else.
# NIGHTCAST_STORE and NIGHTCAST_PANELS must be set, to where workers find the store and the panels' folder:
#
#     prefect --no-prompt deploy --all --prefect-file deployments/prefect.yaml
"""


def prefect_file(panels: Sequence[Panel], pool: Pool) -> str:
    """The text of the file for these panels' deployments in a pool. The same panels give the same text.

    Raises:
        NightcastError: the pool has secrets, which such a file cannot keep secret.
    """
    if pool.secrets:
        raise NightcastError(
            "prefect deploy would write the secrets themselves into the deployments; "
            "leave --secret or --yaml out"
        )
    made = deployments_of(panels, _placeholder("store"), _placeholder("panels"))
    assign(made, pool)
    content = {
        "name": "nightcast",
        "build": [
            {"prefect.deployments.steps.run_shell_script": {"script": f"printenv {name}"}}
            for name in _PLACES.values()
        ],
        "push": [],
        "pull": [],  # the workers have the code installed
        "deployments": [_entry(one) for one in made],
    }
    return _HEADER + "\n" + yaml.safe_dump(content, sort_keys=False, width=110, allow_unicode=True)


def _placeholder(name: str) -> str:
    return f"{{{{ ${_PLACES[name]} }}}}"


def _entry(made: RunnerDeployment) -> dict[str, Any]:
    return {
        "name": made.name,
        "entrypoint": made.entrypoint,
        "tags": list(made.tags),
        "parameters": dict(made.parameters),
        "enforce_parameter_schema": made.enforce_parameter_schema,
        "schedules": [_schedule(cast("CronSchedule", one.schedule)) for one in made.schedules or []],
        "work_pool": {"name": made.work_pool_name, "job_variables": made.job_variables},
    }


def _schedule(schedule: CronSchedule) -> dict[str, Any]:
    return {"cron": schedule.cron, "timezone": schedule.timezone}
