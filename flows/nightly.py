"""The nightly run: from a panel's source to its published forecast."""

from datetime import UTC, date, datetime, time
from typing import cast

from prefect import flow
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import Field

from flows.hooks import MISSED, WATCHED
from flows.parameters import PANEL, PANELS, STORE, given_as_of
from flows.run_names import aimed_at, run_name
from flows.steps import ingest_until_deadline, publish_forecast
from forecasting.night import NightResult
from forecasting.operations.deadline import deadline_of
from forecasting.panel import Panel
from forecasting.selection.challenger import Mode
from forecasting.storage import Storage
from forecasting.temporary_folders import remove_leftovers
from tasks.audit import audit_prices
from tasks.compact import compact_prices
from tasks.deadline import explain_missed_night, mark_late_source, note_skipped_dates
from tasks.panel_slot import panel_slot
from tasks.score import score_forecasts


@flow(name="nightly", flow_run_name=run_name(aimed_at), **WATCHED)
def nightly(
    panel: str = PANEL,
    as_of: date | None = Field(
        None,
        description="The last date whose bars may be used. Empty: the newest date that most series have.",
    ),
    as_of_time: time | None = Field(
        None,
        description="Only with as_of, for intraday panels: the UTC time of the last bar. Empty: all day.",
    ),
    mode: Mode = Field(
        "auto",
        description="auto: retrain if retraining is due. retrain: retrain now. load: use the present model.",
    ),
    store: str | None = STORE,
    panels: str | None = PANELS,
) -> NightResult:
    """Ingest, audit, retrain or load, forecast, draw, report and publish one panel.

    A second run for the same `as_of` finds the first run's forecast and changes nothing.

    A run without `as_of` has the panel's deadline. If the source or the training is late then, the run
    publishes without it and marks the forecast provisional.

    A scheduled run that starts after a later run was due does nothing. It ends as `Missed`, and its message
    names the command to run instead.

    Returns:
        the published forecast.
    """
    settings = Panel.load(panel, panels)
    root = Storage(store).uri
    due = flow_run.scheduled_start_time or datetime.now(UTC)
    missed = explain_missed_night(settings, root, due) if as_of is None else None
    if missed is not None:  # Prefect ends a run in the state that its flow returns
        return cast("NightResult", Completed(name=MISSED, message=missed))
    deadline = deadline_of(settings, due) if as_of is None else None
    remove_leftovers()

    # Takes the slot itself, and leaves it free while it waits.
    row_findings = ingest_until_deadline(settings, root, due, deadline)
    with panel_slot(settings.name, until=deadline):
        compact_prices(settings, root, return_state=True)  # its failure does not fail the run
        score_forecasts(settings, root, return_state=True)  # neither does this one's
        snapshot = audit_prices(settings, root, given_as_of(settings, as_of, as_of_time), due)
        if as_of is None:
            snapshot = note_skipped_dates(settings, root, snapshot, due)
        if deadline is not None:
            snapshot = mark_late_source(settings, root, snapshot, due, deadline)
        return publish_forecast(settings, root, snapshot, mode, row_findings, deadline)
