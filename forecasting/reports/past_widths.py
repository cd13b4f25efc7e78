"""Widths that the publisher forecasts from earlier bars: what tonight's width is compared with.

The forecasts of a network take long, and one from an earlier bar does not change. So the store keeps the
widths of a panel's network, and a night forecasts only from the few origins that are new. Without what is
kept, a night finds the same widths.
"""

import logging

import numpy as np
import pandas as pd
import pyarrow as pa

from forecasting.models.baselines import EwmaWalk, RandomWalk
from forecasting.models.forecaster import Forecaster
from forecasting.models.windows import Windows
from forecasting.parquet import table_from_bytes, table_to_bytes
from forecasting.prices.bars import Bars
from forecasting.prices.snapshot import Snapshot
from forecasting.publishing.forecast import Publisher
from forecasting.quantiles import COLUMNS, HIGH_80, LOW_80
from forecasting.shards import Shard

# How far back the earlier bars go, and how many of them a width is compared with: every 5th.
PAST_BARS = 250
MAX_ORIGINS = 50
# With fewer origins a series, a percentile would jump by more than 5.
MIN_ORIGINS = 20
# The most windows of all series together; 10,000 series get 20 each.
MAX_WINDOWS = 200_000
# The most predicted numbers in memory at a time: 40 MB.
_BLOCK = 5_000_000

_EMPTY = pa.table(
    {
        "unique_id": pa.array([], pa.string()),
        "ds": pa.array([], pa.timestamp("us")),
        "y": pa.array([], pa.float64()),
        "width": pa.array([], pa.float64()),
    }
)

_log = logging.getLogger(__name__)


def past_widths(publisher: Publisher, snapshot: Snapshot, windows: Windows, shard: Shard) -> np.ndarray:
    """Return (S, n) widths of the 80% ranges at the horizon that were forecast from `past_origins`.

    A series' forecaster is the publisher or, if the series is short, the EWMA walk. A width is NaN where the
    forecaster has no context.

    Args:
        publisher: who publishes.
        snapshot: the prices of the forecast.
        windows: the windows of the shard's S series.
        shard: the shard, whose widths the store keeps in a file of its own.

    Raises:
        ModelError: the publisher is not in the store, is damaged, or does not fit the panel.
    """
    origins = past_origins(windows.bars, len(snapshot.ids))
    past = np.full(origins.shape, np.nan)
    if not past.size:
        return past
    is_short = np.isin(windows.bars.ids, snapshot.baseline_ids)
    decision = publisher.decision
    if not is_short.all() and decision.model != RandomWalk.name:
        widths = _widths_from if decision.is_baseline else _Kept(publisher, shard).widths_from
        past[~is_short] = widths(windows, publisher.forecaster, origins[~is_short])
    if is_short.any():
        past[is_short] = _widths_from(windows, publisher.walk, origins[is_short])
    return past


def past_origins(bars: Bars, of_all: int) -> np.ndarray:
    """Return (S, n) positions of earlier bars of each series, the newest first; -1 where there is none.

    They are bars whose number in their series is divisible by five, the last 50 before its last bar: the same
    bars night after night. Panels of many series, `of_all`, have fewer, and one of more than 10,000 series
    has none.
    """
    count = min(MAX_ORIGINS, MAX_WINDOWS // of_all)
    if count < MIN_ORIGINS:
        return np.empty((len(bars.ids), 0), dtype=np.int64)
    step = PAST_BARS // count
    newest = (bars.lengths - 2) // step * step  # a series of one bar has none
    numbers = newest[:, None] - step * np.arange(count)
    return np.where(numbers >= 0, bars.offsets[:-1, None] + numbers, -1)


class _Kept:
    """The widths of a panel's network that the store keeps, shard by shard."""

    def __init__(self, publisher: Publisher, shard: Shard) -> None:
        self._storage = publisher.storage
        self._path = f"widths/{publisher.panel.name}/{shard.number}.parquet"
        # What else the widths depend on. The bars are in the rows.
        forecast = publisher.panel.forecast
        self._network = f"{publisher.decision.version} {forecast.horizon} {forecast.transform}"

    def widths_from(self, windows: Windows, forecaster: Forecaster, origins: np.ndarray) -> np.ndarray:
        """As `_widths_from`, for a network. Only what the store does not keep is forecast, and kept then."""
        bars, at = windows.bars, origins[origins >= 0]
        ids = np.array(bars.ids, dtype=object)[bars.series[at]]
        # With its price: a revised one needs another forecast.
        wanted = pd.DataFrame({"unique_id": ids, "ds": bars.ds[at], "y": bars.y[at]})
        kept = self._read()
        found = wanted.merge(kept, how="left", on=list(wanted), indicator="where")
        is_new = (found["where"] == "left_only").to_numpy()
        if is_new.any():
            found.loc[is_new, "width"] = _widths_from(windows, forecaster, at[is_new])
            later = kept[kept["ds"] > wanted["ds"].max()]  # of a run for a later date
            self._write(pd.concat([found[list(kept)], later]))
        widths = np.full(origins.shape, np.nan)
        widths[origins >= 0] = found["width"]
        return widths

    def _read(self) -> pd.DataFrame:
        data = self._storage.find(self._path)
        try:
            table = _EMPTY if data is None else table_from_bytes(data, _EMPTY.column_names)
        except ValueError as error:
            _log.warning("outlook: %s is damaged, and is made again: %s", self._path, error)
            table = _EMPTY
        if (table.schema.metadata or {}).get(b"network") != self._network.encode():
            table = _EMPTY
        return table.to_pandas()

    def _write(self, kept: pd.DataFrame) -> None:
        table = pa.Table.from_pandas(kept, schema=_EMPTY.schema, preserve_index=False)
        table = table.replace_schema_metadata({"network": self._network})
        self._storage.put(self._path, table_to_bytes(table, write_page_checksum=True))


def _widths_from(windows: Windows, forecaster: Forecaster, origins: np.ndarray) -> np.ndarray:
    """The widths that a forecaster forecasts from origins, in their shape; NaN where it has no context."""
    is_usable = windows.scale > 0 if isinstance(forecaster, EwmaWalk) else windows.has_context
    usable = (origins >= 0) & is_usable[origins]
    chosen = origins[usable]
    size = max(_BLOCK // (windows.horizon * len(COLUMNS)), 1)
    blocks = [chosen[start : start + size] for start in range(0, len(chosen), size)]
    widths = np.full(origins.shape, np.nan)
    widths[usable] = np.concatenate(
        [np.empty(0), *(_end_widths(windows, forecaster, block) for block in blocks)]
    )
    return widths


def _end_widths(windows: Windows, forecaster: Forecaster, origins: np.ndarray) -> np.ndarray:
    """(W,) widths at the horizon, forecast from each origin."""
    changes = forecaster.predict(windows, origins)[:, -1]
    return range_widths(windows.to_price(origins, changes), windows.bars.y[origins], relative=windows.log)


def range_widths(prices: np.ndarray, last: np.ndarray, *, relative: bool) -> np.ndarray:
    """Return (W,) widths of the 80% ranges of quantiles (W, 11); `relative` to the last prices (W,)."""
    widths: np.ndarray = prices[:, HIGH_80] - prices[:, LOW_80]
    return widths / last if relative else widths
