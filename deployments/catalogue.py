"""The catalogue of all deployments, made from the panels. Both `serve` and `deploy` use it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from prefect import Flow
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron, Schedule
from prefect.types.entrypoint import EntrypointType

from flows.backfill import backfill
from flows.backtest import backtest
from flows.freshness import freshness
from flows.maintenance import maintenance
from flows.nightly import nightly
from flows.parameters import ALL
from flows.retrain import retrain
from flows.score import score
from forecasting.panel import Panel


@dataclass(frozen=True)
class Entry:
    """A flow to deploy: once per panel if it has a parameter `panel`, else once for all panels.

    Attributes:
        flow: the flow. It also takes `store` and `panels`.
        cron: the schedule: `NIGHTLY`, a cron line, or "" for a flow that is only started by hand. The time
            zone is the panel's, or UTC for a deployment for all panels.
    """

    flow: Flow[..., Any]
    cron: str = ""

    @property
    def is_per_panel(self) -> bool:
        """Whether each panel has its own deployment."""
        return "panel" in self.flow.parameters.properties


NIGHTLY = "nightly"  # the panel's own [schedule]
# One line per flow, in the order in which a newcomer meets the flows.
CATALOGUE = (
    Entry(nightly, cron=NIGHTLY),
    Entry(retrain),
    Entry(backfill),
    Entry(backtest),
    Entry(score),
    Entry(freshness, cron="20 * * * *"),
    Entry(maintenance, cron="40 3 * * 0"),  # Sunday, when markets and most nightly runs rest
)


def deployments_of(panels: Sequence[Panel], store: str, folder: str) -> list[RunnerDeployment]:
    """Make the deployments of these panels of `folder` on a store. Nothing is registered yet."""
    parameters, made = {"store": store, "panels": folder}, []
    for entry in CATALOGUE:
        if entry.is_per_panel:
            made += [_of_panel(entry, panel, parameters) for panel in panels]
        else:
            made.append(_of_all(entry, parameters))
    for one in made:
        _narrow(_form(one), [panel.name for panel in panels])
    return made


def _of_panel(entry: Entry, panel: Panel, parameters: dict[str, str]) -> RunnerDeployment:
    cron = panel.schedule.cron if entry.cron == NIGHTLY else entry.cron
    schedule = Cron(cron, timezone=panel.schedule.timezone) if cron else None
    return _deployment(entry, panel.name, {"panel": panel.name, **parameters}, schedule)


def _of_all(entry: Entry, parameters: dict[str, str]) -> RunnerDeployment:
    schedule = Cron(entry.cron, timezone="UTC") if entry.cron else None
    return _deployment(entry, ALL, parameters, schedule)


def _deployment(
    entry: Entry, name: str, parameters: dict[str, str], schedule: Schedule | None
) -> RunnerDeployment:
    made = entry.flow.to_deployment(
        name=name,
        description=entry.flow.description,
        tags=[f"panel:{name}"],
        parameters=parameters,
        schedule=schedule,
        # By module, so that it runs from any working directory.
        entrypoint_type=EntrypointType.MODULE_PATH,
        enforce_parameter_schema=True,
    )
    return cast("RunnerDeployment", made)  # outside an event loop it is no coroutine


def _narrow(form: dict[str, dict[str, Any]], panels: list[str]) -> None:
    """Adapt the form for people: hide the deployment's own parameters, add titles, and list the panels."""
    for parameter in ("store", "panels"):  # the deployment's own
        del form[parameter]
    for parameter, field in form.items():
        field["title"] = parameter.replace("_", " ").capitalize()
        if parameter in {"panel", "only_panel"}:
            field.get("anyOf", [field])[0]["enum"] = panels


def _form(deployment: RunnerDeployment) -> dict[str, dict[str, Any]]:
    """The fields of a deployment's form in the UI, by parameter."""
    return deployment._parameter_openapi_schema.properties  # noqa: SLF001 - Prefect has no public way to it
