"""Bars: the target values of a panel's series in memory, concatenated in two flat arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.prices.order import arrange, instants, order_bars, ranked, series_offsets


@dataclass(frozen=True)
class Bars:
    """The observed bars of S series, N bars in total, sorted by series and then by time.

    Attributes:
        ids: the `unique_id` of the S series, sorted.
        offsets: (S + 1,) int64; the bars of series `s` are `offsets[s]:offsets[s + 1]`.
        ds: (N,) datetime64[us]; start of each bar, UTC, increasing within a series.
        y: (N,) float64; the target, in price units.
    """

    ids: tuple[str, ...]
    offsets: np.ndarray
    ds: np.ndarray
    y: np.ndarray

    @classmethod
    def from_table(cls, table: pa.Table, target: str) -> Self:
        """Build the bars from a price table with one row per (`unique_id`, `ds`), in any order.

        Rows whose `target` is null are skipped.
        """
        table = table.select(["unique_id", "ds", target])
        if table[target].null_count:
            table = table.filter(pc.is_valid(table[target]))
        table = arrange(table, order_bars(table).rows)
        series, names = ranked(table["unique_id"])
        offsets = series_offsets(series, len(names))
        return cls(
            ids=tuple(names.filter(pa.array(np.diff(offsets) > 0)).to_pylist()),
            offsets=np.unique(offsets),
            ds=instants(table["ds"]),
            y=table[target].to_numpy().astype(np.float64, copy=False),
        )

    @classmethod
    def concat(cls, parts: Sequence["Bars"]) -> Self:
        """Join the bars of different series; those of each part come after those of the part before."""
        starts = np.cumsum([0, *(len(part) for part in parts)])
        offsets = [part.offsets[:-1] + start for part, start in zip(parts, starts, strict=False)]
        return cls(
            ids=tuple(name for part in parts for name in part.ids),
            offsets=np.concatenate([*offsets, starts[-1:]]).astype(np.int64),
            ds=np.concatenate([np.array([], "datetime64[us]"), *(part.ds for part in parts)]),
            y=np.concatenate([np.array([], np.float64), *(part.y for part in parts)]),
        )

    def part(self, start: int, stop: int) -> "Bars":
        """The bars of the series numbered from `start` to before `stop`."""
        offsets = self.offsets[start : stop + 1]
        bars = slice(offsets[0], offsets[-1])
        return Bars(self.ids[start:stop], offsets - offsets[0], self.ds[bars], self.y[bars])

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def lengths(self) -> np.ndarray:
        """(S,) number of bars of each series."""
        return np.diff(self.offsets)

    @cached_property
    def series(self) -> np.ndarray:
        """(N,) int32; index of the series that each bar belongs to."""
        return np.repeat(np.arange(len(self.ids), dtype=np.int32), self.lengths)

    @cached_property
    def last(self) -> np.ndarray:
        """(S,) position of the last bar of each series."""
        return self.offsets[1:] - 1

    @cached_property
    def age(self) -> np.ndarray:
        """(N,) number of earlier bars of the same series."""
        return np.arange(len(self)) - self.offsets[:-1][self.series]

    def counts_until(self, cutoffs: np.ndarray) -> np.ndarray:
        """(S, K) int64; number of bars of each series at or before each of `cutoffs` (K,)."""
        counts = np.empty((len(self.ids), len(cutoffs)), dtype=np.int64)
        for series, (start, stop) in enumerate(pairwise(self.offsets)):
            counts[series] = np.searchsorted(self.ds[start:stop], cutoffs, side="right")
        return counts

    def until(self, cutoff: np.datetime64) -> "Bars":
        """The bars at or before `cutoff`. Series without such a bar are removed."""
        return self.keep(self.ds <= cutoff)

    def select(self, ids: list[str]) -> "Bars":
        """The bars of the named series. Unknown names are ignored."""
        return self.keep(np.isin(np.array(self.ids, dtype=object), ids)[self.series])

    def keep(self, mask: np.ndarray) -> "Bars":
        """The bars where `mask` (N,) is true. Series without any bar left are removed."""
        if mask.all():
            return self
        offsets = series_offsets(self.series[mask], len(self.ids))
        return Bars(
            ids=tuple(name for name, rows in zip(self.ids, np.diff(offsets), strict=True) if rows),
            offsets=np.unique(offsets),
            ds=self.ds[mask],
            y=self.y[mask],
        )
