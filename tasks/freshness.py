"""Freshness: check that every panel's newest forecast is the one that is due."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from prefect import task

from forecasting.operations.freshness import Freshness, assess_all, freshness_rows
from forecasting.storage import Storage
from tasks.artifacts import show_table
from tasks.events import STALE, alarm
from tasks.options import STEP


@task(name="assess freshness", **STEP)
def assess_freshness(panels: str | None, store: str, max_age_hours: float | None) -> list[Freshness]:
    """Assess the freshness of each panel now, and show it as a table artifact."""
    limit = None if max_age_hours is None else timedelta(hours=max_age_hours)
    found = assess_all(panels, Storage(store), datetime.now(UTC), limit)
    show_table(
        "freshness",
        freshness_rows(found),
        "Whether every panel's newest forecast is the one that is due",
    )
    return found


@task(name="report stale forecasts", **STEP)
def alarm_stale(found: Sequence[Freshness]) -> None:
    """Raise an alarm for each panel that is not fresh. A failed run raised its own alarm when it failed."""
    for one in found:
        if one.state not in ("fresh", "failed"):
            known = {"state": one.state, "reason": one.reason, "as_of": one.as_of, "bars_behind": one.behind}
            alarm(STALE, one.panel, f"Nightcast: {one.line}", known)
