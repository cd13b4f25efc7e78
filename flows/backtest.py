"""The backtest: what a panel's model would have been worth, walking forward over the past."""

from typing import Annotated

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from flows.hooks import ALARMED
from flows.parameters import PANEL, PANELS, STORE, panel_of
from forecasting.evaluation.backtest import BacktestPlan
from forecasting.panel import Panel
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage
from tasks.backtest import run_backtest
from tasks.ingest import ingest_prices


def _run_name() -> str:
    return f"backtest-{panel_of(flow_run.parameters)}"


# The bounds are in the types: those in a default show in the form, but a call from Python passes them by.
@flow(name="backtest", flow_run_name=_run_name, **ALARMED)
def backtest(
    panel: str = PANEL,
    cutoffs: Annotated[int, Field(ge=1, le=500)] = Field(
        12, description="From how many dates of the past to forecast, and compare with what then came."
    ),
    stride: Annotated[int, Field(ge=1, le=5000)] = Field(
        72, description="How many bars lie between one such date and the next."
    ),
    refit: Annotated[int, Field(ge=1, le=500)] | None = Field(
        None,
        description="Train the model again at every so many of these dates. Empty: once, at the first. Each "
        "training takes as long as one of the nightly run.",
    ),
    store: str | None = STORE,
    panels: str | None = PANELS,
) -> str:
    """Compare the panel's model with both random walks on dates of the past; the folder of what came of it.

    It publishes nothing and changes no model. The artifact shows the scores; the report has every chart.
    """
    settings = Panel.load(panel, panels)
    storage = Storage(store)
    if not PriceTable.exists(storage, settings.name):
        ingest_prices(settings, storage.uri)
    return run_backtest(settings, storage.uri, BacktestPlan(cutoffs, stride, refit))
