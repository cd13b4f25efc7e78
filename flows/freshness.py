"""The freshness flow: when a forecast is not the one that it should be, someone gets to hear of it."""

from prefect import flow
from pydantic import Field

from flows.hooks import ALARMED
from flows.parameters import PANELS, STORE
from forecasting.operations.freshness import require_fresh
from forecasting.storage import Storage
from tasks.freshness import assess_freshness, tell_of_stale


@flow(name="freshness", flow_run_name="freshness", **ALARMED)
def freshness(
    max_age_hours: float | None = Field(
        None,
        gt=0,
        description="A forecast published longer ago than so many hours is stale in any case. "
        "Empty: only by each panel's own schedule and calendar.",
    ),
    store: str | None = STORE,
    panels: str | None = PANELS,
) -> None:
    """Look whether every panel's newest forecast is the one that it should be, and fail when one is not."""
    found = assess_freshness(panels, Storage(store).uri, max_age_hours)
    tell_of_stale(found)
    require_fresh(found)
