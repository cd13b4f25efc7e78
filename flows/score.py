"""Scoring: what published forecasts turned out to be worth, by the bars that have come since."""

from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from flows.hooks import ALARMED
from flows.parameters import PANEL, PANELS, STORE, panel_of
from forecasting.panel import Panel
from forecasting.storage import Storage
from tasks.score import score_forecasts


def _run_name() -> str:
    return f"score-{panel_of(flow_run.parameters)}"


@flow(name="score", flow_run_name=_run_name, **ALARMED)
def score(panel: str = PANEL, store: str | None = STORE, panels: str | None = PANELS) -> dict[str, Any]:
    """Score the published forecasts of one panel by the prices that are in the store; what came of it.

    It takes in no prices: the nightly run does, and scores after that. Running it again adds nothing.
    """
    settings = Panel.load(panel, panels)
    return score_forecasts(settings, Storage(store).uri).to_record()
