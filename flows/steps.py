"""The steps that several flows share, in their order."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from forecasting.errors import AuditError, NightcastError, SourceError, first_line
from forecasting.findings import Finding
from forecasting.models.registry import Decision
from forecasting.operations.deadline import without_late_training
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot
from forecasting.selection.challenger import WindowPlan
from tasks.charts import draw_charts
from tasks.deadline import (
    can_do_without_source,
    choose_stand_in,
    find_missing_bar,
    is_done_by,
    wait_to_ask_again,
)
from tasks.forecast import forecast
from tasks.ingest import ingest_prices
from tasks.model import Mode, load_model, retrain_model, retraining_is_due
from tasks.panel_slot import panel_slot
from tasks.publish import find_published, publish
from tasks.report import write_report
from tasks.summarise import summarise
from tasks.windows import plan_windows

_log = logging.getLogger(__name__)


def ingest_by(panel: Panel, store: str, due: datetime, deadline: datetime | None) -> Sequence[Finding]:
    """Ingest, and ask a late source again until the deadline, an unreadable one too; what the audit found.

    The panel's slot is held while it asks, and free for other runs while it waits to ask again. What trips
    the breaker ends the run at once: somebody should hear of it at once.
    """
    while True:
        try:
            with panel_slot(panel.name, until=deadline):
                ingested = ingest_prices(panel, store, due)
                missing = find_missing_bar(panel, store, due) if deadline is not None else None
        except (SourceError, AuditError) as error:
            if deadline is None or (isinstance(error, AuditError) and error.findings):
                raise
            if wait_to_ask_again(deadline, str(error)):
                continue
            if not can_do_without_source(panel, store, due):
                raise
            return ()
        if deadline is None or missing is None or not wait_to_ask_again(deadline, f"no bar of {missing} yet"):
            return ingested.findings


def publish_forecast(
    panel: Panel,
    store: str,
    snapshot: Snapshot,
    mode: Mode,
    row_findings: Sequence[Finding] = (),
    deadline: datetime | None = None,
) -> dict[str, Any]:
    """Retrain or load, forecast, draw, report and publish the snapshot's `as_of`; the manifest.

    When a training is not done by the deadline, somebody else publishes first.
    """
    windows = plan_windows(panel, store, snapshot)
    if not retraining_is_due(panel, store, snapshot, windows, mode):
        decision = load_model(panel, store, snapshot)
    elif deadline is None:
        decision = retrain_model(panel, store, snapshot, windows)
    else:
        training = retrain_model.submit(panel, store, snapshot, windows)
        if not is_done_by(deadline, training):
            early = without_late_training(snapshot, deadline)
            _publish_meanwhile(panel, store, early, windows, row_findings)
        decision = training.result()
    return _publish(panel, store, snapshot, decision, row_findings)


def _publish_meanwhile(
    panel: Panel, store: str, snapshot: Snapshot, windows: WindowPlan, row_findings: Sequence[Finding]
) -> None:
    """Publish with whoever stands in; a failure must not keep the training's forecast from coming."""
    try:
        decision = choose_stand_in(panel, store, snapshot, windows)
        if decision is not None:
            _publish(panel, store, snapshot, decision, row_findings)
    except Exception as error:  # noqa: BLE001 - any failure, such as a store outage
        reason = first_line(error) or type(error).__name__
        trace = None if isinstance(error, NightcastError) else error
        _log.warning("deadline: nothing is published meanwhile: %s", reason, exc_info=trace)


def _publish(
    panel: Panel, store: str, snapshot: Snapshot, decision: Decision, row_findings: Sequence[Finding]
) -> dict[str, Any]:
    manifest = find_published(panel, store, snapshot, decision)
    if manifest is None:
        address = forecast(panel, store, snapshot, decision)
        draw_charts(panel, store, snapshot, decision, address)
        write_report(panel, store, snapshot, decision, address, row_findings)
        manifest = publish(panel, store, address, snapshot, decision, row_findings)
    summarise(panel, store, manifest)
    return manifest
