"""The catalogue of all deployments, made from the panels. Both `serve` and `deploy` use it."""

from collections.abc import Mapping, Sequence
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
ALL_FLOWS = tuple(entry.flow for entry in CATALOGUE)


def deployments_of(
    panels: Sequence[Panel], store: str, folder: str, references: Mapping[str, str] | None = None
) -> list[RunnerDeployment]:
    """Make the deployments of these panels on a store. Nothing is registered yet.

    Args:
        panels: the panels.
        store: the store's URI.
        folder: the panels folder.
        references: how a run finds a panel, by the panel's name. Default: by its name in `folder`.
    """
    parameters, made = {"store": store, "panels": folder}, []
    for entry in CATALOGUE:
        if entry.is_per_panel:
            for panel in panels:
                reference = (references or {}).get(panel.name, panel.name)
                made.append(_of_panel(entry, panel, {"panel": reference, **parameters}))
        else:
            made.append(_of_all(entry, parameters))
    for one in made:
        _narrow(one, [panel.name for panel in panels])
    return made


def _of_panel(entry: Entry, panel: Panel, parameters: dict[str, str]) -> RunnerDeployment:
    cron = panel.schedule.cron if entry.cron == NIGHTLY else entry.cron
    schedule = Cron(cron, timezone=panel.schedule.timezone) if cron else None
    return _deployment(entry, panel.name, parameters, schedule)


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


def _narrow(deployment: RunnerDeployment, panels: list[str]) -> None:
    """Adapt the form for people: hide store and folder, add titles, and offer the panels that may be run.

    The server refuses a run with any other panel.
    """
    form = deployment._parameter_openapi_schema  # noqa: SLF001 - Prefect has no public way to it
    for parameter in ("store", "panels"):  # the deployment's own
        del form.properties[parameter]
    for parameter, field in form.properties.items():
        field["title"] = parameter.replace("_", " ").capitalize()
    if "panel" in form.properties:
        form.properties["panel"]["enum"] = [deployment.parameters["panel"]]
        form.required.remove("panel")  # the deployment gives it, so that a quick run asks for nothing
    if "only_panel" in form.properties:
        form.properties["only_panel"]["anyOf"][0]["enum"] = panels
