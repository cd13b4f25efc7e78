"""Score: compare published forecasts with the bars that have arrived since."""

from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from flows.hooks import SHOWN
from flows.parameters import PANEL, PANELS, STORE, panel_of
from forecasting.panel import Panel
from forecasting.storage import Storage
from tasks.score import score_forecasts


def _run_name() -> str:
    return f"score-{panel_of(flow_run.parameters)}"


@flow(name="score", flow_run_name=_run_name, **SHOWN)
def score(panel: str = PANEL, store: str | None = STORE, panels: str | None = PANELS) -> dict[str, Any]:
    """Score the published forecasts of one panel with the prices in the store.

    This flow does not ingest prices: the nightly run does, and scores afterwards. A second run adds nothing.

    Returns:
        the score report.
    """
    settings = Panel.load(panel, panels)
    return score_forecasts(settings, Storage(store).uri).to_record()
