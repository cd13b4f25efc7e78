"""Backfill: which past dates are missing, and one of them decided and published.

A past date is two tasks rather than the nine of a night: a year of them would fill Prefect's database, and
the server's share of the time would show. The steps are the night's own.
"""

from datetime import date, datetime
from typing import Any

from prefect import task

from forecasting.models.registry import Decision
from forecasting.operations.missing import MissingAsOfs, find_missing
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot
from forecasting.storage import Storage
from tasks.audit import audit_prices
from tasks.charts import draw_charts
from tasks.forecast import forecast
from tasks.model import load_model, retrain_model, retraining_is_due
from tasks.policy import STEP, TRAINING
from tasks.publish import find_published, publish
from tasks.report import write_report
from tasks.windows import plan_windows


@task(name="find missing dates", **STEP)
def find_missing_dates(
    panel: Panel, store: str, start: date, end: date, now: datetime, *, force: bool
) -> MissingAsOfs:
    """Compare the panel's schedule with what is published."""
    return find_missing(panel, Storage(store), start, end, now, force=force)


@task(name="decide a past date", task_run_name="decide {as_of}", **(STEP | TRAINING))
def decide_past(panel: Panel, store: str, as_of: str, now: datetime) -> tuple[Snapshot, Decision]:
    """Audit, plan windows, retrain or load: what the forecast of a past date is made from.

    A decision rests on those made for earlier dates, so that these go one after the other, oldest first.
    """
    snapshot = audit_prices.fn(panel, store, as_of, now)
    windows = plan_windows.fn(panel, store, snapshot)
    if retraining_is_due.fn(panel, store, snapshot, windows, "auto"):
        return snapshot, retrain_model.fn(panel, store, snapshot, windows)
    return snapshot, load_model.fn(panel, store, snapshot)


@task(name="publish a past date", task_run_name="publish {snapshot.as_of}", **STEP)
def publish_past(panel: Panel, store: str, snapshot: Snapshot, decision: Decision) -> dict[str, Any]:
    """Forecast, draw, report and publish a past date; what its manifest says of who and what.

    Dates that are decided can be published in any order, and side by side.
    """
    manifest = find_published.fn(panel, store, snapshot, decision)
    if manifest is None:
        address = forecast.fn(panel, store, snapshot, decision)
        draw_charts.fn(panel, store, snapshot, decision, address)
        write_report.fn(panel, store, snapshot, decision, address, ())
        manifest = publish.fn(panel, store, address, snapshot, decision, ())
    return {key: manifest[key] for key in ("as_of", "origin", "model", "model_version", "forecast_id")}
