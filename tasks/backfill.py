"""Backfill: find the missing past dates, and decide and publish one of them.

A past date is two tasks instead of a night's ten or more: as many for each day of a year would fill Prefect's
database, and the server's share of the time would show. The steps and their order are those of a night.
"""

from datetime import date, datetime

from prefect import task

from forecasting import night
from forecasting.operations.missing import MissingAsOfs, find_missing
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot
from forecasting.publishing.decisions import Decision
from forecasting.publishing.manifest import Manifest
from forecasting.storage import Storage
from tasks.audit import audit_prices
from tasks.options import STEP, TRAINING
from tasks.steps import InsideTask


@task(name="find missing dates", **STEP)
def find_missing_dates(
    panel: Panel, store: str, start: date, end: date, now: datetime, *, force: bool
) -> MissingAsOfs:
    """Compare the panel's schedule with what is published."""
    return find_missing(panel, Storage(store), start, end, now, force=force)


@task(name="decide a past date", task_run_name="decide {as_of}", **(STEP | TRAINING))
def decide_past(panel: Panel, store: str, as_of: str, due: datetime) -> tuple[Snapshot, Decision]:
    """Audit, plan windows, retrain or load for a past date.

    A decision depends on the decisions for earlier dates, so dates are decided one by one, oldest first.
    """
    snapshot = audit_prices.fn(panel, store, as_of, due)
    return snapshot, night.decide(panel, Storage(store), snapshot, run=InsideTask())


@task(name="publish a past date", task_run_name="publish {snapshot.as_of}", **STEP)
def publish_past(panel: Panel, store: str, snapshot: Snapshot, decision: Decision) -> Manifest:
    """Forecast, draw, report and publish a past date; return its manifest.

    Decided dates can be published in any order and in parallel.
    """
    return night.make_forecast(panel, Storage(store), snapshot, decision, run=InsideTask()).manifest
