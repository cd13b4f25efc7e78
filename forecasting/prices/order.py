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
    series = series_ranks(table["unique_id"])
    ds = instants(table["ds"])
    known_at = (instants(table["known_at"]),) if "known_at" in table.column_names else ()
    rows = np.lexsort((*known_at, ds, series))
    again = np.zeros(len(rows), dtype=bool)
    again[1:] = (np.diff(series[rows]) == 0) & (np.diff(ds[rows]) == 0)
    return BarOrder(rows, again)


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
    """(N,) int64; the rank of each id among all that occur, in the order of their names."""
    encoded = ids.combine_chunks().dictionary_encode()
    ranks = np.empty(len(encoded.dictionary), dtype=np.int64)
    ranks[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(ranks))
    series: np.ndarray = ranks[encoded.indices.to_numpy(zero_copy_only=False)]
    return series


def instants(column: pa.ChunkedArray) -> np.ndarray:
    """(N,) datetime64[us] of a column of instants; NaT where null."""
    numbers: np.ndarray = column.to_numpy().astype("datetime64[us]")
    return numbers
