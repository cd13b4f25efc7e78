"""Forecast: write the forecast's Parquet file to its folder, not yet committed."""

import logging

from prefect import task

from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot
from forecasting.publishing.address import FORECAST, ForecastAddress
from forecasting.publishing.decisions import Decision
from forecasting.publishing.forecast import write_forecast
from forecasting.storage import Storage
from tasks.options import STEP

_log = logging.getLogger(__name__)


@task(name="forecast", **STEP)
def forecast(panel: Panel, store: str, snapshot: Snapshot, decision: Decision) -> ForecastAddress:
    """Forecast every series from its own cutoff."""
    storage = Storage(store)
    address = write_forecast(panel, storage, snapshot, decision)
    _log.info("forecast: %d series in %s", len(snapshot.ids), storage.display(address.path(FORECAST)))
    return address
