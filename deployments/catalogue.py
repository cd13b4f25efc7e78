"""The catalogue: every deployment there is, from the panels; `serve` and `deploy` both start here."""

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
    """A flow that is deployed: for each panel where it has a parameter `panel`, and else once for all.

    Attributes:
        flow: it takes `store` and `panels` besides.
        cron: when it starts by itself: `NIGHTLY`, a cron line, or "" for what is only started by hand. In
            the panel's time zone; in UTC where it is for all.
    """

    flow: Flow[..., Any]
    cron: str = ""

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
        # By module, so that it runs from any folder in which the package is installed.
        entrypoint_type=EntrypointType.MODULE_PATH,
        enforce_parameter_schema=True,
    )
    return cast("RunnerDeployment", made)  # which it is, outside an event loop


def _narrow(form: dict[str, dict[str, Any]], panels: list[str]) -> None:
    """Have the form ask what a person can answer, in words, and offer the panels to choose from."""
    for parameter in ("store", "panels"):  # the deployment's own
        del form[parameter]
    for parameter, field in form.items():
        field["title"] = parameter.replace("_", " ").capitalize()
        if parameter in {"panel", "only_panel"}:
            field.get("anyOf", [field])[0]["enum"] = panels


def _form(deployment: RunnerDeployment) -> dict[str, dict[str, Any]]:
    """The fields of the form that the UI shows for a deployment, by parameter."""
    return deployment._parameter_openapi_schema.properties  # noqa: SLF001 - Prefect has no public way to it
