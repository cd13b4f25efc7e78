"""The freshness flow: raise an alarm when a panel's newest forecast is not the one that is due."""

from prefect import flow
from pydantic import Field

from flows.hooks import ALARMED
from flows.parameters import PANELS, STORE
from flows.run_names import minute_of, run_name
from forecasting.operations.freshness import require_fresh
from forecasting.storage import Storage
from tasks.freshness import alarm_stale, assess_freshness


@flow(name="freshness", flow_run_name=run_name(minute_of, "freshness"), **ALARMED)
def freshness(
    max_age_hours: float | None = Field(
        None,
        gt=0,
        description="A forecast published longer ago than this many hours is always stale. "
        "Empty: only each panel's own schedule and calendar count.",
    ),
    store: str | None = STORE,
    panels: str | None = PANELS,
) -> None:
    """Check that every panel's newest forecast is the one that is due, and fail if one is not."""
    found = assess_freshness(panels, Storage(store).uri, max_age_hours)
    alarm_stale(found)
    require_fresh(found)
