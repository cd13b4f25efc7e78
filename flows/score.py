"""Score: compare published forecasts with the bars that have arrived since."""

from typing import Any

from prefect import flow

from flows.hooks import SHOWN
from flows.parameters import PANEL, PANELS, STORE
from flows.run_names import day_of, run_name
from forecasting.panel import Panel
from forecasting.storage import Storage
from tasks.score import score_forecasts


@flow(name="score", flow_run_name=run_name(day_of, "score"), **SHOWN)
def score(panel: str = PANEL, store: str | None = STORE, panels: str | None = PANELS) -> dict[str, Any]:
    """Score the published forecasts of one panel with the prices in the store.

    This flow does not ingest prices: the nightly run does, and scores afterwards. A second run adds nothing.

    Returns:
        the score report.
    """
    settings = Panel.load(panel, panels)
    return score_forecasts(settings, Storage(store).uri).to_record()
