"""Order: which rows of a price table are the same bar, and which of those say the same."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.prices.schema import VALUES


@dataclass(frozen=True)
class BarOrder:
    """The N rows of a table by series and time, the rows of one bar next to each other.

    Attributes:
        rows: (N,) positions in the table; the rows of one bar by `known_at` or else as they came.
        again: (N,) bool; whether each row, in this order, is of the same bar as the one before it.
    """

    rows: np.ndarray
    again: np.ndarray

    @property
    def first(self) -> np.ndarray:
        """Positions in the table of each bar's first row."""
        first: np.ndarray = self.rows[~self.again]
        return first

    @property
    def last(self) -> np.ndarray:
        """Positions in the table of each bar's last row."""
        last: np.ndarray = self.rows[~np.append(self.again[1:], False)[: len(self.rows)]]
        return last


def order_bars(table: pa.Table) -> BarOrder:
    """The order of a table with `unique_id`, `ds`, and perhaps `known_at`, none of them null."""
    series, ds = series_ranks(table["unique_id"]), instants(table["ds"])
    if _is_sorted(series, ds):
        return BarOrder(np.arange(len(ds)), np.zeros(len(ds), dtype=bool))
    times, distinct = ranked(table["ds"])
    bars = series * np.int64(len(distinct)) + times
    rows = np.argsort(bars, kind="stable")  # which finds the sorted runs that the files are
    again = np.zeros(len(rows), dtype=bool)
    again[1:] = np.diff(bars[rows]) == 0
    if "known_at" in table.column_names and again.any():
        several = again | np.append(again[1:], False)
        those = rows[several]
        rows[several] = those[np.lexsort((instants(table["known_at"])[those], bars[those]))]
    return BarOrder(rows, again)


def _is_sorted(series: np.ndarray, ds: np.ndarray) -> bool:
    """Whether these are bars in their order, each once."""
    same = series[1:] == series[:-1]
    return bool((((ds[1:] > ds[:-1]) & same) | (series[1:] > series[:-1])).all())


def same_as_before(table: pa.Table) -> np.ndarray:
    """(N,) bool; whether each row has the values of the row before it, where null is null."""
    same = np.zeros(table.num_rows, dtype=bool)
    same[1:] = True
    for name in VALUES:
        if table[name].null_count == table.num_rows:
            continue
        values = table[name].to_numpy()
        both_null = np.isnan(values[1:]) & np.isnan(values[:-1])
        same[1:] &= (values[1:] == values[:-1]) | both_null
    return same


def series_ranks(ids: pa.ChunkedArray) -> np.ndarray:
    """(N,) int32; the rank of each id among all that occur, in the order of their names."""
    return ranked(ids)[0]


def ranked(column: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """(N,) int32, the rank of each value among all that occur; and those values, sorted.

    A dictionary-encoded column may have values besides: they count too.
    """
    encoded = column.combine_chunks().dictionary_encode()
    indices = encoded.indices.to_numpy(zero_copy_only=False)
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    if (np.diff(order.astype(np.int64)) > 0).all():  # sorted already
        return indices, encoded.dictionary
    ranks = np.empty(len(order), dtype=np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    return ranks[indices], encoded.dictionary.take(pa.array(order))


def instants(column: pa.ChunkedArray) -> np.ndarray:
    """(N,) datetime64[us] of a column of instants; NaT where null."""
    numbers: np.ndarray = column.to_numpy().astype("datetime64[us]", copy=False)
    return numbers


def encode_ids(table: pa.Table) -> pa.Table:
    """The table with each `unique_id` in memory once, in a sorted dictionary."""
    ranks, names = ranked(table["unique_id"])
    ids = pa.DictionaryArray.from_arrays(ranks.astype(np.int32), names)
    return table.set_column(table.column_names.index("unique_id"), "unique_id", ids)


def arrange(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """The rows of the table at these positions; the table itself where that is what they say."""
    if np.array_equal(rows, np.arange(table.num_rows)):
        return table
    return table.take(rows)
