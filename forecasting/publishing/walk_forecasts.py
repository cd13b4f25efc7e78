"""The random walks' forecasts beside a published forecast: the references for its scores.

They are stored in the forecast's folder, with the same series and steps row by row. So scoring need not read
each series' history again every night, and the prices that the walks were fitted on are certain.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from forecasting.digests import digest_bytes
from forecasting.errors import StoreError
from forecasting.evaluation.metrics import in_sample_change
from forecasting.models.baselines import EwmaWalk, RandomWalk
from forecasting.models.windows import Windows, build_windows
from forecasting.panel import Panel
from forecasting.parquet import table_from_bytes, table_to_bytes
from forecasting.prices.snapshot import bars_behind
from forecasting.publishing.address import WALKS
from forecasting.publishing.manifest import Published
from forecasting.quantiles import COLUMNS
from forecasting.shards import sample_series
from forecasting.storage import Storage

CHANGE = "in_sample_change"


def walk_columns(name: str) -> list[str]:
    """Return the names of the columns with a walk's quantiles; `name` is `random_walk` or `ewma_walk`."""
    return [f"{name}_{column}" for column in COLUMNS]


# How their file is written.
FILE_OPTIONS: dict[str, Any] = {
    "use_dictionary": ["unique_id", CHANGE],
    "use_byte_stream_split": [*walk_columns(RandomWalk.name), *walk_columns(EwmaWalk.name)],
}

# Prices in single precision, seven digits: enough for losses, which are differences of prices.
SCHEMA = pa.schema(
    [
        ("unique_id", pa.string()),
        ("h", pa.int16()),
        (CHANGE, pa.float64()),
        *((column, pa.float32()) for column in walk_columns(RandomWalk.name)),
        *((column, pa.float32()) for column in walk_columns(EwmaWalk.name)),
    ]
)


def walks_of(windows: Windows, ewma_walk: EwmaWalk) -> pa.Table:
    """Forecast each series from its last bar on with both walks.

    Returns:
        A table with the columns `SCHEMA`, sorted by `unique_id` and `h`.
    """
    bars, horizon = windows.bars, windows.horizon
    walks = {RandomWalk.name: RandomWalk().predict, EwmaWalk.name: ewma_walk.predict}
    columns = {
        "unique_id": np.repeat(np.array(bars.ids, dtype=object), horizon),
        "h": np.tile(np.arange(1, horizon + 1, dtype=np.int16), len(bars.ids)),
        CHANGE: np.repeat(in_sample_change(bars.y, bars.series)[bars.last], horizon),
    }
    for name, predict in walks.items():
        prices = windows.to_price(bars.last, predict(windows, bars.last)).astype(np.float32)
        columns |= zip(walk_columns(name), prices.reshape(-1, len(COLUMNS)).T, strict=True)
    return pa.table(columns, schema=SCHEMA)


def walks_file(windows: Windows, ewma_walk: EwmaWalk) -> bytes:
    """Return the table of `walks_of` as a Parquet file."""
    return table_to_bytes(walks_of(windows, ewma_walk), **FILE_OPTIONS)


def read_walks(
    panel: Panel, storage: Storage, folder: str, published: Published, forecast: pa.Table
) -> pa.Table:
    """Return the walks' forecasts for a published forecast, row by row.

    If their file is missing or damaged, they are made again from the prices that the forecast used.

    Raises:
        StoreError: those prices are no longer in the store.
        ModelError: no price ever moves.
    """
    data = storage.find(f"{folder}{WALKS}")
    kept = _decode(data) if data is not None and _is_committed(data, published) else None
    if kept is not None and _matches(kept, forecast):
        return kept
    horizon = forecast["h"].to_numpy().max()
    settings = panel.forecast.model_copy(update={"horizon": int(horizon)})
    then = panel.model_copy(update={"forecast": settings})
    ids = forecast["unique_id"].unique().to_pylist()
    sample = bars_behind(then, storage, published, sample_series(ids))
    ewma_walk = EwmaWalk.fit(build_windows(then, sample, then.calendar), sample.ds.max())
    bars = bars_behind(then, storage, published, ids)
    made = walks_of(build_windows(then, bars, then.calendar), ewma_walk)
    if not _matches(made, forecast):
        raise StoreError(
            f"the prices in the store are not those that {folder} was made from; "
            "restore the price table, or run that date again"
        )
    return made


def _is_committed(data: bytes, published: Published) -> bool:
    """Whether these are the bytes that the manifest commits; true where it does not name the file."""
    digest = published.objects.get(WALKS)
    return digest is None or digest == digest_bytes(data)


def _decode(data: bytes) -> pa.Table | None:
    """The table in a Parquet file; None if the file is damaged."""
    try:
        table = table_from_bytes(data)
    except ValueError:
        return None
    return table if set(SCHEMA.names) <= set(table.column_names) else None


def _matches(walks: pa.Table, forecast: pa.Table) -> bool:
    return all(walks[key].equals(forecast[key]) for key in ("unique_id", "h"))
