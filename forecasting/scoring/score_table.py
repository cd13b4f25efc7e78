"""The score table: what published forecasts turned out to be worth, bar by bar.

A Delta table, `scores/<panel>/`, that only gets rows: one for each forecast, series and step whose bar has
arrived. The table's log remembers which forecasts are settled, with nothing more to come, in the very commit
that makes them so: they are never looked at again. `docs/contract.md` says what the columns mean.
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
    find_table,
    has_mark,
    instant_scalar,
    missing_files_as_store_error,
)
from forecasting.prices.order import instants
from forecasting.prices.schema import INSTANT
from forecasting.quantiles import COLUMNS
from forecasting.storage import Storage

PINBALL = tuple(f"pinball_{column}" for column in COLUMNS)

# Scores as they are made; when that was, and the partition, come with the commit.
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
# By the month of the bar: a night appends to one or two, and what a forecast has scored lies in few.
_PARTS = ("year", "month")
# What can be added up besides the columns.
_COUNTED = {
    "rows": pc.scalar(1),
    "sign": pc.sign(pc.field("error")),
    "inside_80": pc.field("inside_80").cast(pa.int32()),
    "inside_90": pc.field("inside_90").cast(pa.int32()),
}
_TABLE = pa.schema([*SCORES, (_SCORED_AT, INSTANT), *((name, pa.int32()) for name in _PARTS)])


class ScoreTable:
    """One panel's score table, as it was when this object was made."""

    def __init__(self, table: DeltaTable) -> None:
        self._table = table

    @classmethod
    def find(cls, storage: Storage, panel: str) -> Self | None:
        """The panel's score table; None where nothing was ever scored.

        Raises:
            StoreError: a newer version of this package wrote it.
        """
        table = find_table(storage, _path(panel))
        return None if table is None else cls(table)

    @classmethod
    def create(cls, storage: Storage, panel: str) -> Self:
        """The panel's score table, made first where there is none.

        Raises:
            StoreError: a newer version of this package wrote it.
            deltalake.exceptions.CommitFailedError: another writer is making it right now.
        """
        table = find_table(storage, _path(panel))
        return cls(table or create_table(storage, _path(panel), _TABLE, list(_PARTS)))

    def is_settled(self, forecast_id: str) -> bool:
        """Whether nothing more of a forecast is to be scored."""
        return has_mark(self._table, _mark(forecast_id))

    def scored(self, forecast_ids: Sequence[str], ids: pa.Array, since: np.datetime64) -> np.ndarray:
        """(N,) int64, sorted: the `step_numbers` of these forecasts that have a score.

        Args:
            forecast_ids: of which forecasts.
            ids: S series, to number them by.
            since: no bar of these forecasts is older.
        """
        wanted, numbers = pa.array(forecast_ids, pa.string()), [np.empty(0, dtype=np.int64)]
        condition = (pc.field("ds") >= instant_scalar(since)) & pc.field("forecast_id").isin(wanted)
        with missing_files_as_store_error(self._table):
            scan = self._table.to_pyarrow_dataset()
            for batch in scan.to_batches(columns=["forecast_id", "unique_id", "h"], filter=condition):
                forecasts = pc.index_in(batch["forecast_id"], wanted).to_numpy(zero_copy_only=False)
                series = pc.index_in(batch["unique_id"], ids).fill_null(-1).to_numpy(zero_copy_only=False)
                steps = step_numbers(forecasts, series, batch["h"].to_numpy(), len(ids))
                numbers.append(steps[series >= 0])
        return np.sort(np.concatenate(numbers))

    def sums(self, keys: Sequence[str], how: Mapping[str, str], condition: pc.Expression | None) -> pa.Table:
        """Scores put together by the columns `keys`, one file of the table after the other.

        Args:
            keys: of `SCORES`.
            how: other columns, or `rows` (1 each) and `sign` (of the error), and `sum` or `max`.
            condition: which scores count; None: all.

        Raises:
            StoreError: a file of the table is gone.
        """
        columns = {name: _COUNTED.get(name, pc.field(name)) for name in (*keys, *how)}
        with missing_files_as_store_error(self._table):
            parts = [
                _grouped(fragment.to_table(columns=columns, filter=condition), keys, how)
                for fragment in self._table.to_pyarrow_dataset().get_fragments(condition)
            ]
        if not parts:
            return no_sums(keys, how)
        return _grouped(pa.concat_tables(parts), keys, how)

    def append(self, rows: pa.Table, settled: Sequence[str], now: np.datetime64) -> None:
        """Append scores (`SCORES`), and remember which forecasts are settled by them, in one commit.

        Raises:
            deltalake.exceptions.CommitFailedError: another writer appended since this table was read.
        """
        months = instants(rows["ds"]).astype("datetime64[M]").astype(np.int32)  # since January 1970
        rows = rows.append_column("year", pa.array(1970 + months // 12))
        rows = rows.append_column("month", pa.array(1 + months % 12))
        rows = rows.sort_by([("unique_id", "ascending"), ("as_of", "ascending"), ("h", "ascending")])
        marks = [_mark(forecast_id) for forecast_id in settled]
        append_rows(self._table, rows, now, _SCORED_AT, marks)


def no_sums(keys: Sequence[str], how: Mapping[str, str]) -> pa.Table:
    """What `ScoreTable.sums` gives of no scores at all."""
    numbers = {name: pa.array([], pa.float64()) for name in how}
    return pa.table({name: SCORES.empty_table()[name] for name in keys} | numbers)


def _grouped(rows: pa.Table, keys: Sequence[str], how: Mapping[str, str]) -> pa.Table:
    grouped = rows.group_by(list(keys), use_threads=False).aggregate(list(how.items()))
    names = [*keys, *(f"{name}_{function}" for name, function in how.items())]
    return grouped.select(names).rename_columns([*keys, *how])


def step_numbers(forecast: np.ndarray | int, series: np.ndarray, h: np.ndarray, count: int) -> np.ndarray:
    """One number for each forecast, series (of `count`) and step."""
    numbers: np.ndarray = (np.int64(forecast) * count + series.astype(np.int64)) * (1 << 15) + h
    return numbers


def _mark(forecast_id: str) -> str:
    return f"settled:{forecast_id}"


def _path(panel: str) -> str:
    return f"scores/{panel}"
