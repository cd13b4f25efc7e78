"""The catalogue: every deployment there is, from the panels; `serve` and `deploy` both start here."""

from collections.abc import Sequence
from typing import cast

from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from flows.nightly import nightly
from flows.score import score
from forecasting.panel import Panel


def deployments_of(panels: Sequence[Panel], store: str, folder: str) -> list[RunnerDeployment]:
    """The deployments of these panels, which lie in `folder`, on a store; nothing is registered yet."""
    made = []
    for panel in panels:
        parameters = {"panel": panel.name, "store": store, "panels": folder}
        made += [_nightly(panel, parameters), _score(panel, parameters)]
    return made


def _nightly(panel: Panel, parameters: dict[str, str]) -> RunnerDeployment:
    made = nightly.to_deployment(
        name=panel.name,
        description=nightly.description,
        tags=[f"panel:{panel.name}"],
        parameters=parameters,
        schedule=Cron(panel.schedule.cron, timezone=panel.schedule.timezone),
        # By module, so that it runs from any folder in which the package is installed.
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return cast("RunnerDeployment", made)  # which it is, outside an event loop


def _score(panel: Panel, parameters: dict[str, str]) -> RunnerDeployment:
    made = score.to_deployment(
        name=panel.name,
        description=score.description,
        tags=[f"panel:{panel.name}"],
        parameters=parameters,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return cast("RunnerDeployment", made)
