"""Forecast: write the forecast's Parquet files to its folder, shard by shard, not yet committed."""

import logging

from prefect import task

from forecasting import night_shards
from forecasting.models.baselines import EwmaWalk
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot
from forecasting.publishing import forecast
from forecasting.publishing.address import ForecastAddress
from forecasting.publishing.decisions import Decision
from forecasting.shards import Shard
from forecasting.storage import Storage
from tasks.options import STEP

_log = logging.getLogger(__name__)


@task(name="fit the EWMA walk", **STEP)
def fit_walk(panel: Panel, store: str, snapshot: Snapshot) -> EwmaWalk:
    """Fit the baseline that every forecast is compared with."""
    return forecast.fit_walk(panel, Storage(store), snapshot)


@task(name="forecast", task_run_name="forecast {shard}", **STEP)
def forecast_shard(
    panel: Panel, store: str, snapshot: Snapshot, decision: Decision, walk: EwmaWalk, shard: Shard
) -> None:
    """Forecast the series of a shard, each from its own cutoff."""
    night_shards.forecast_shard(panel, Storage(store), snapshot, decision, walk, shard)
    _log.info("forecast: %d series, shard %s", len(shard.ids), shard)


@task(name="join shards", **STEP)
def join_shards(store: str, address: ForecastAddress, count: int) -> None:
    """Make one forecast of the parts of all shards."""
    night_shards.join_shards(Storage(store), address, count)
