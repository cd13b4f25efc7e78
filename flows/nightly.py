"""The nightly run: from a panel's source to its published forecast."""

from datetime import UTC, date, datetime, time
from typing import cast

from prefect import flow
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import Field

from flows.hooks import MISSED, WATCHED
from flows.parameters import PANEL, PANELS, STORE, panel_of
from flows.steps import ingest_by, publish_forecast
from forecasting.as_of import as_of_label, to_instant
from forecasting.night import NightResult
from forecasting.operations.deadline import deadline_of
from forecasting.panel import Panel
from forecasting.selection.challenger import Mode
from forecasting.storage import Storage
from tasks.audit import audit_prices
from tasks.compact import compact_prices
from tasks.deadline import mark_late_source, note_skipped_dates, tell_missed_night
from tasks.panel_slot import panel_slot
from tasks.score import score_forecasts


def _run_name() -> str:
    return f"nightly-{panel_of(flow_run.parameters)}"


@flow(name="nightly", flow_run_name=_run_name, **WATCHED)
def nightly(
    panel: str = PANEL,
    as_of: date | None = Field(
        None, description="The last date whose bars may be used. Empty: the newest one that most series have."
    ),
    as_of_time: time | None = Field(
        None, description="With as_of, for intraday panels: the UTC time of the last bar. Empty: all day."
    ),
    mode: Mode = Field(
        "auto", description="auto: retrain when it is due. retrain: now. load: use the model there is."
    ),
    store: str | None = STORE,
    panels: str | None = PANELS,
) -> NightResult:
    """Ingest, audit, retrain or load, forecast, draw, report and publish one panel; the manifest.

    Running it again for the same `as_of` finds its own result and changes nothing. A run that is given no
    `as_of` has the panel's deadline: what is late then is done without, and the forecast marked provisional.
    One of a schedule that starts after a later one was due does nothing: it ends as `Missed`, and says what
    to run instead.
    """
    settings = Panel.load(panel, panels)
    root = Storage(store).uri
    due = flow_run.scheduled_start_time or datetime.now(UTC)
    missed = tell_missed_night(settings, root, due) if as_of is None else None
    if missed is not None:  # Prefect takes a state for how the run ended
        return cast("NightResult", Completed(name=MISSED, message=missed))
    deadline = deadline_of(settings, due) if as_of is None else None

    row_findings = ingest_by(settings, root, due, deadline)  # takes the slot by itself, not while it waits
    with panel_slot(settings.name, until=deadline):
        compact_prices(settings, root, return_state=True)  # a failure of this task alone fails nothing else
        score_forecasts(settings, root, return_state=True)  # nor does one of this
        snapshot = audit_prices(settings, root, _label(settings, as_of, as_of_time), due)
        if as_of is None:
            snapshot = note_skipped_dates(settings, root, snapshot, due)
        if deadline is not None:
            snapshot = mark_late_source(settings, root, snapshot, due, deadline)
        return publish_forecast(settings, root, snapshot, mode, row_findings, deadline)


def _label(panel: Panel, as_of: date | None, as_of_time: time | None) -> str | None:
    """`as_of` as written in paths."""
    if as_of is None:
        return None
    last = as_of_time or (time(23, 59) if panel.bars.intraday else time(0))
    return as_of_label(to_instant(datetime.combine(as_of, last)), panel.bars.freq)
