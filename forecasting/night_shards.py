"""The part of a night that is done shard by shard: forecasts, the walks' forecasts, and the outlook.

A shard's work reads the bars of its own series only, so its memory does not grow with the panel. It writes to
the store and returns nothing, so another machine can do it.
"""

from forecasting.models.baselines import EwmaWalk
from forecasting.models.windows import build_windows
from forecasting.panel import Panel
from forecasting.parquet import table_to_bytes
from forecasting.prices.snapshot import Snapshot, bars_behind
from forecasting.publishing.address import FORECAST, WALKS, ForecastAddress
from forecasting.publishing.decisions import Decision
from forecasting.publishing.forecast import Publisher, address_of, forecast_file, forecast_series
from forecasting.publishing.parts import join_parts, part_path, remove_parts
from forecasting.publishing.walk_forecasts import FILE_OPTIONS, walks_file
from forecasting.reports.outlook import OUTLOOK, make_outlook
from forecasting.shards import Shard
from forecasting.storage import Storage


def forecast_shard(
    panel: Panel, storage: Storage, snapshot: Snapshot, decision: Decision, walk: EwmaWalk, shard: Shard
) -> None:
    """Forecast the series of a shard, and write the shard's parts of the forecast.

    They are the forecast, the forecasts of both random walks, with which scoring compares it, and the
    outlook.

    Raises:
        ModelError: the model is not in the store, is damaged, or does not fit the panel.
        ContractError: the forecast breaks the contract.
    """
    address = address_of(panel, snapshot, decision)
    publisher = Publisher(panel, storage, decision, walk)
    bars = bars_behind(panel, storage, snapshot, shard.ids)
    windows = build_windows(panel, bars, panel.calendar)
    forecast = forecast_series(publisher, snapshot, windows)
    outlook = make_outlook(publisher, snapshot, windows, forecast, shard)
    storage.put(part_path(address, WALKS, shard), walks_file(windows, walk))
    storage.put(part_path(address, OUTLOOK, shard), table_to_bytes(outlook))
    storage.put(part_path(address, FORECAST, shard), forecast_file(panel, snapshot, forecast))


def join_shards(storage: Storage, address: ForecastAddress, count: int) -> None:
    """Make one forecast of the parts of `count` shards.

    Raises:
        StoreError: a part is missing.
    """
    for name, options in ((WALKS, FILE_OPTIONS), (OUTLOOK, {}), (FORECAST, {})):
        join_parts(storage, address, name, count, options)
    remove_parts(storage, address)
