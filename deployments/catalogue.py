"""The catalogue: every deployment there is, from the panels; `serve` and `deploy` both start here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from prefect import Flow
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron
from prefect.types.entrypoint import EntrypointType

from flows.backfill import backfill
from flows.backtest import backtest
from flows.freshness import freshness
from flows.maintenance import maintenance
from flows.nightly import nightly
from flows.retrain import retrain
from flows.score import score
from forecasting.panel import Panel

ALL_PANELS = "all"  # the name of a deployment that is not one panel's


@dataclass(frozen=True)
class Entry:
    """A flow that is deployed: for each panel where it has a parameter `panel`, and else once for all.

    Attributes:
        flow: it takes `store` and `panels` besides.
        cron: when it starts by itself: `NIGHTLY`, a cron line, or "" for what is only started by hand. In
            the panel's time zone; in UTC where it is for all.
        tags: the names of what else one may want to filter by.
    """

    flow: Flow[..., Any]
    cron: str = ""
    tags: tuple[str, ...] = ()

    @property
    def is_per_panel(self) -> bool:
        """Whether each panel has a deployment of its own."""
        return "panel" in self.flow.parameters.properties


NIGHTLY = "nightly"  # by the panel's own [schedule]
# One line for each flow, in the order in which a newcomer meets them.
CATALOGUE = (
    Entry(nightly, cron=NIGHTLY),
    Entry(retrain),
    Entry(backfill),
    Entry(backtest),
    Entry(score),
    Entry(freshness, cron="20 * * * *"),
    Entry(maintenance, cron="40 3 * * 0"),  # Sundays, when markets rest and most nightly runs do
)


def deployments_of(panels: Sequence[Panel], store: str, folder: str) -> list[RunnerDeployment]:
    """The deployments of these panels, which lie in `folder`, on a store; nothing is registered yet."""
    made = []
    for entry in CATALOGUE:
        if entry.is_per_panel:
            made += [_of_panel(entry, panel, panels, {"store": store, "panels": folder}) for panel in panels]
        else:
            made.append(_of_all(entry, {"store": store, "panels": folder}))
    return made


def _of_panel(
    entry: Entry, panel: Panel, panels: Sequence[Panel], parameters: dict[str, str]
) -> RunnerDeployment:
    cron = panel.schedule.cron if entry.cron == NIGHTLY else entry.cron
    made = _deployment(
        entry,
        panel.name,
        f"panel:{panel.name}",
        {"panel": panel.name, **parameters},
        Cron(cron, timezone=panel.schedule.timezone) if cron else None,
    )
    _form(made)["panel"]["enum"] = [one.name for one in panels]
    return made


def _of_all(entry: Entry, parameters: dict[str, str]) -> RunnerDeployment:
    schedule = Cron(entry.cron, timezone="UTC") if entry.cron else None
    return _deployment(entry, ALL_PANELS, "panel:all", parameters, schedule)


def _deployment(
    entry: Entry, name: str, panel_tag: str, parameters: dict[str, str], schedule: Any
) -> RunnerDeployment:
    made = entry.flow.to_deployment(
        name=name,
        description=entry.flow.description,
        tags=[panel_tag, *entry.tags],
        parameters=parameters,
        schedule=schedule,
        # By module, so that it runs from any folder in which the package is installed.
        entrypoint_type=EntrypointType.MODULE_PATH,
        enforce_parameter_schema=True,
    )
    deployment = cast("RunnerDeployment", made)  # which it is, outside an event loop
    form = _form(deployment)
    for parameter in parameters.keys() - {"panel"}:  # the deployment's own, and no question for a person
        del form[parameter]
    for parameter, field in form.items():
        field["title"] = parameter.replace("_", " ").capitalize()
    return deployment


def _form(deployment: RunnerDeployment) -> dict[str, dict[str, Any]]:
    """The fields of the form that the UI shows for a deployment, by parameter."""
    return deployment._parameter_openapi_schema.properties  # noqa: SLF001 - Prefect has no public way to it
