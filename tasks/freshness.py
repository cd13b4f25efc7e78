"""Freshness: whether every panel's forecast is the one that it should be by now."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from prefect import task
from prefect.artifacts import create_table_artifact

from forecasting.operations.freshness import Freshness, assess_all, freshness_rows
from forecasting.storage import Storage
from tasks.events import STALE, alarm
from tasks.policy import STEP


@task(name="assess freshness", **STEP)
def assess_freshness(panels: str | None, store: str, max_age_hours: float | None) -> list[Freshness]:
    """The freshness of each panel now, shown as a table artifact."""
    limit = None if max_age_hours is None else timedelta(hours=max_age_hours)
    found = assess_all(panels, Storage(store), datetime.now(UTC), limit)
    create_table_artifact(
        key="freshness",
        table=freshness_rows(found),
        description="Whether every panel's forecast is the one that it should be by now",
    )
    return found


@task(name="tell of stale forecasts", **STEP)
def tell_of_stale(found: Sequence[Freshness]) -> None:
    """An alarm for each panel that is not fresh; that a run failed was told when it did."""
    for one in found:
        if one.state not in ("fresh", "failed"):
            known = {"state": one.state, "reason": one.reason, "as_of": one.as_of, "bars_behind": one.behind}
            alarm(STALE, one.panel, f"Nightcast: {one.line}", known)
