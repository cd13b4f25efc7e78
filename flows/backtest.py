"""The backtest: how well a panel's model would have forecast past dates (walk-forward test)."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from flows.hooks import ALARMED
from flows.parameters import PANEL, PANELS, STORE
from flows.run_names import day_of, run_name
from forecasting.evaluation.backtest import BacktestPlan
from forecasting.panel import Panel
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage
from tasks.backtest import backtest_on
from tasks.engine import open_engine
from tasks.ingest import ingest_prices


# The bounds are in the types: the form shows bounds in a default, but a call from Python skips them.
@flow(name="backtest", flow_run_name=run_name(day_of, "backtest"), **ALARMED)
def backtest(
    panel: str = PANEL,
    cutoffs: Annotated[int, Field(ge=1, le=500)] = Field(
        12,
        description="How many past dates to forecast from. Each forecast is compared with later bars.",
    ),
    stride: Annotated[int, Field(ge=1, le=5000)] = Field(
        72, description="How many bars lie between one of these dates and the next."
    ),
    refit: Annotated[int, Field(ge=1, le=500)] | None = Field(
        None,
        description="Train the model again after this many dates. Empty: train once, at the first date. "
        "Each training takes as long as in a nightly run.",
    ),
    store: str | None = STORE,
    panels: str | None = PANELS,
) -> str:
    """Compare the panel's model with both random walks on past dates.

    This flow publishes nothing and changes no model. The artifact shows the scores, the report all charts.

    Returns:
        the folder of the report and the predictions in the store.
    """
    settings = Panel.load(panel, panels)
    storage = Storage(store)
    if not PriceTable.exists(storage, settings.name):
        ingest_prices(settings, storage.uri)
    with open_engine(settings) as engine:
        return backtest_on(engine, settings, storage.uri, BacktestPlan(cutoffs, stride, refit))
