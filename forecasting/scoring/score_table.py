"""The score table: one score for each forecast, series and step whose bar has arrived.

The table is an append-only Delta table, `scores/<panel>/`. A forecast with nothing left to score is settled:
the commit that adds its last scores also marks it so in the table's log, and scoring skips it from then on.
`docs/contract.md` documents the columns.
"""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from forecasting.prices.delta import (
    append_rows,
    create_table,
    damage_as_store_error,
    find_table,
    has_mark,
    instant_scalar,
    open_dataset,
)
from forecasting.prices.order import instants
from forecasting.prices.schema import INSTANT
from forecasting.prices.table_files import remember_files
from forecasting.quantiles import COLUMNS
from forecasting.storage import Storage

PINBALL = tuple(f"pinball_{column}" for column in COLUMNS)

# Columns of new scores. `append` adds `scored_at` and the partition columns.
SCORES = pa.schema(
    [
        ("origin", pa.string()),
        ("as_of", INSTANT),
        ("forecast_id", pa.string()),
        ("provisional", pa.bool_()),
        ("known_at", INSTANT),
        ("published_at", INSTANT),
        ("unique_id", pa.string()),
        ("cutoff", INSTANT),
        ("h", pa.int16()),
        ("ds", INSTANT),
        ("model", pa.string()),
        ("model_version", pa.string()),
        ("y_cutoff", pa.float64()),
        ("y", pa.float64()),
        ("error", pa.float32()),
        ("in_sample_change", pa.float32()),
        ("loss", pa.float32()),
        ("random_walk_loss", pa.float32()),
        ("ewma_walk_loss", pa.float32()),
        *((name, pa.float32()) for name in PINBALL),
        ("inside_80", pa.bool_()),
        ("inside_90", pa.bool_()),
    ]
)
_SCORED_AT = "scored_at"
# Partitioned by the bar's month: a night appends to one or two months, and a forecast's scores are in few.
_PARTS = ("year", "month")
# Expressions that `sums` offers besides the columns.
_COUNTED = {
    "rows": pc.scalar(1),
    "sign": pc.sign(pc.field("error")),
    "inside_80": pc.field("inside_80").cast(pa.int32()),
    "inside_90": pc.field("inside_90").cast(pa.int32()),
}
_TABLE = pa.schema([*SCORES, (_SCORED_AT, INSTANT), *((name, pa.int32()) for name in _PARTS)])


class ScoreTable:
    """A snapshot of one panel's score table, taken when the object is created."""

    def __init__(self, table: DeltaTable, storage: Storage, panel: str) -> None:
        self._table = table
        self._storage = storage
        self._path = _path(panel)

    @classmethod
    def find(cls, storage: Storage, panel: str) -> Self | None:
        """Return the panel's score table; None if nothing was scored yet.

        Raises:
            StoreError: a newer version of this package wrote the table.
        """
        table = find_table(storage, _path(panel))
        return None if table is None else cls(table, storage, panel)

    @classmethod
    def create(cls, storage: Storage, panel: str) -> Self:
        """Return the panel's score table; create it if there is none.

        Raises:
            StoreError: a newer version of this package wrote the table.
            deltalake.exceptions.CommitFailedError: another writer is creating the table.
        """
        table = find_table(storage, _path(panel))
        return cls(table or create_table(storage, _path(panel), _TABLE, list(_PARTS)), storage, panel)

    @property
    def version(self) -> int:
        """The number of the table's last commit."""
        return self._table.version()

    def is_settled(self, forecast_id: str) -> bool:
        """Whether a forecast has nothing left to score."""
        return has_mark(self._table, _mark(forecast_id))

    def scored(self, forecast_ids: Sequence[str], ids: pa.Array, since: np.datetime64) -> np.ndarray:
        """Return which steps of some forecasts have a score.

        Args:
            forecast_ids: the forecasts.
            ids: (S,) the series; their positions number them.
            since: the oldest bar that these forecasts may cover.

        Returns:
            (N,) int64, sorted: the `step_numbers` of the steps that have a score.
        """
        wanted, numbers = pa.array(forecast_ids, pa.string()), [np.empty(0, dtype=np.int64)]
        condition = (pc.field("ds") >= instant_scalar(since)) & pc.field("forecast_id").isin(wanted)
        with damage_as_store_error(self._table):
            scan = open_dataset(self._table)
            for batch in scan.to_batches(columns=["forecast_id", "unique_id", "h"], filter=condition):
                forecasts = pc.index_in(batch["forecast_id"], wanted).to_numpy(zero_copy_only=False)
                series = pc.index_in(batch["unique_id"], ids).fill_null(-1).to_numpy(zero_copy_only=False)
                steps = step_numbers(forecasts, series, batch["h"].to_numpy(), len(ids))
                numbers.append(steps[series >= 0])
        return np.sort(np.concatenate(numbers))

    def sums(self, keys: Sequence[str], how: Mapping[str, str], condition: pc.Expression | None) -> pa.Table:
        """Aggregate scores by the columns `keys`. Reads one file of the table at a time.

        Args:
            keys: columns of `SCORES` to group by.
            how: `sum` or `max` by the column to aggregate. `rows` (1 for each score) and `sign` (of the
                error) also count as columns.
            condition: which scores to include; None for all.

        Raises:
            StoreError: a file of the table is missing or damaged.
        """
        columns = {name: _COUNTED.get(name, pc.field(name)) for name in (*keys, *how)}
        with damage_as_store_error(self._table):
            parts = [
                _grouped(fragment.to_table(columns=columns, filter=condition), keys, how)
                for fragment in open_dataset(self._table).get_fragments(condition)
            ]
        if not parts:
            return no_sums(keys, how)
        return _grouped(pa.concat_tables(parts), keys, how)

    def append(self, rows: pa.Table, settled: Sequence[str], now: np.datetime64) -> None:
        """Append scores and mark the forecasts that they settle, in one commit.

        Args:
            rows: the scores, in the schema `SCORES`.
            settled: ids of the forecasts with nothing left to score.
            now: the scores' `scored_at`.

        Raises:
            deltalake.exceptions.CommitFailedError: another writer appended after this snapshot was taken.
        """
        months = instants(rows["ds"]).astype("datetime64[M]").astype(np.int32)  # since January 1970
        rows = rows.append_column("year", pa.array(1970 + months // 12))
        rows = rows.append_column("month", pa.array(1 + months % 12))
        rows = rows.sort_by([("unique_id", "ascending"), ("as_of", "ascending"), ("h", "ascending")])
        marks = [_mark(forecast_id) for forecast_id in settled]
        append_rows(self._table, rows, now, _SCORED_AT, marks)
        remember_files(self._storage, self._path)


def no_sums(keys: Sequence[str], how: Mapping[str, str]) -> pa.Table:
    """Return the result of `ScoreTable.sums` for a table without scores."""
    numbers = {name: pa.array([], pa.float64()) for name in how}
    return pa.table({name: SCORES.empty_table()[name] for name in keys} | numbers)


def _grouped(rows: pa.Table, keys: Sequence[str], how: Mapping[str, str]) -> pa.Table:
    grouped = rows.group_by(list(keys), use_threads=False).aggregate(list(how.items()))
    names = [*keys, *(f"{name}_{function}" for name, function in how.items())]
    return grouped.select(names).rename_columns([*keys, *how])


def step_numbers(forecast: np.ndarray | int, series: np.ndarray, h: np.ndarray, count: int) -> np.ndarray:
    """(N,) one number for each forecast, series (of `count`) and step."""
    numbers: np.ndarray = (np.int64(forecast) * count + series.astype(np.int64)) * (1 << 15) + h
    return numbers


def _mark(forecast_id: str) -> str:
    return f"settled:{forecast_id}"


def _path(panel: str) -> str:
    return f"scores/{panel}"
