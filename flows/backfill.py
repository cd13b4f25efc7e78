"""The backfill: publish the forecasts that a panel's schedule should have made between two dates."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from flows.hooks import SHOWN
from flows.parameters import PANEL, PANELS, STORE
from flows.run_names import run_name
from forecasting.operations.missing import check_dates
from forecasting.panel import Panel
from forecasting.publishing.manifest import Manifest
from forecasting.storage import Storage
from tasks.backfill import decide_past, find_missing_dates, publish_past
from tasks.backfill_outcomes import Outcome, Outcomes, show_missing
from tasks.compact import compact_prices
from tasks.ingest import ingest_prices
from tasks.panel_slot import panel_slot
from tasks.processes import Start, task_processes
from tasks.score import score_forecasts

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BackfillResult:
    """What a backfill did, or in a dry run would do.

    Attributes:
        published: the manifests of what it published, oldest first.
        missing: in a dry run, the missing `as_of`s, oldest first.
    """

    published: tuple[Manifest, ...] = ()
    missing: tuple[str, ...] = ()


def _days(given: Mapping[str, Any]) -> str:
    return f"{given['start']} to {given['end']}"


@flow(name="backfill", flow_run_name=run_name(_days, "backfill"), **SHOWN)
def backfill(  # noqa: PLR0913 - the fields of its form
    panel: str = PANEL,
    *,
    start: date = Field(description="The first date to check for a missing forecast."),
    end: date = Field(description="The last date to check. It must not be in the future."),
    force: bool = Field(
        default=False,
        description="Also make forecasts for dates that have one. A different result is published beside it.",
    ),
    dry_run: bool = Field(
        default=False, description="Only list the missing dates, as an artifact of this run."
    ),
    parallel: Annotated[int, Field(ge=1, le=8)] = Field(  # bounds in the type hold for every caller
        1, description="How many forecasts to make at the same time, 1 to 8, each in its own process."
    ),
    store: str | None = STORE,
    panels: str | None = PANELS,
) -> BackfillResult:
    """Publish every missing past forecast, oldest first, each from the prices known at that time.

    A second run publishes only what is still missing.
    """
    settings = Panel.load(panel, panels)
    root = Storage(store).uri
    now = flow_run.scheduled_start_time or datetime.now(UTC)
    check_dates(start, end, now)

    if not dry_run:
        with panel_slot(settings.name, gives_way=True):
            ingest_prices(settings, root)
            compact_prices(settings, root, return_state=True)  # its failure does not fail the run
    missing = find_missing_dates(settings, root, start, end, now, force=force)
    _log.info("backfill: %s", missing.summary)
    if dry_run:
        show_missing(settings, missing)
        return BackfillResult(missing=missing.as_ofs)
    outcomes = _publish_all(settings, root, missing.as_ofs, parallel, now) if missing.as_ofs else None
    with panel_slot(settings.name, gives_way=True):
        score_forecasts(settings, root, return_state=True)  # neither does this one's
    return BackfillResult(published=tuple(outcomes.close()) if outcomes is not None else ())


def _publish_all(panel: Panel, store: str, as_ofs: Sequence[str], parallel: int, now: datetime) -> Outcomes:
    """Publish each date and collect the outcomes."""
    outcomes = Outcomes(panel, as_ofs)
    with task_processes(parallel) as start:
        for first in range(0, len(as_ofs), parallel):
            # Between two slots, waiting runs go first: above all the nightly run.
            with panel_slot(panel.name, gives_way=True):
                for outcome in _publish(panel, store, as_ofs[first : first + parallel], now, start):
                    outcomes.add(outcome)
    return outcomes


def _publish(
    panel: Panel, store: str, as_ofs: Sequence[str], now: datetime, start: Start
) -> Iterator[Outcome]:
    """Decide the dates one after the other, and publish decided dates meanwhile."""
    pending = []
    for as_of in as_ofs:
        decided = decide_past(panel, store, as_of, now, return_state=True)
        if not decided.is_completed():
            yield Outcome.of(as_of, decided)
            continue
        snapshot, decision = decided.result()
        final_state = start(publish_past, panel=panel, store=store, snapshot=snapshot, decision=decision)
        pending.append((as_of, final_state))
    for as_of, final_state in pending:
        yield Outcome.of(as_of, final_state())
