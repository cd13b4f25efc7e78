"""The two random walks: the reference for every model, and its replacement when it is not good enough.

Both forecast that the price stays where it is. They differ in the width of their intervals: one takes it from
the whole past of the series, the other from the volatility of the last weeks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from forecasting.errors import ModelError
from forecasting.models.forecaster import Forecaster
from forecasting.models.windows import Windows
from forecasting.quantiles import LEVELS, MEDIAN

# With fewer changes than this, the 5% and 95% quantiles would be close to the smallest and largest change.
MIN_CHANGES = 20
# More origins than this change a pooled quantile by less than it varies from year to year.
MAX_POOLED = 200_000
# The most changes in memory at a time: 4 MB, which a processor keeps near.
BLOCK = 500_000


class RandomWalk:
    """A random walk with the empirical quantiles of each series' own past h-bar changes.

    For each origin, these are all overlapping h-bar changes that end at or before the origin and contain no
    long gap. Quantiles are interpolated linearly (type 7 of Hyndman and Fan). A step h with fewer than 20
    changes uses the quantiles of the longest step h0 that has at least 20 (or else of the first step), times
    sqrt(h / h0). A series without past changes is not expected to move.
    """

    name = "random_walk"

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        """(W, horizon, 11) quantiles of the change of level; origins may have a short context."""
        quantiles = np.zeros((len(origins), windows.horizon, len(LEVELS)))
        counts = np.zeros((len(origins), windows.horizon), dtype=np.int64)
        for which, steps in _blocks(windows, origins):
            at = np.ix_(which, steps - 1)
            quantiles[at], counts[at] = _empirical_quantiles(_past_changes(windows, origins[which], steps))
        return _extrapolated(quantiles, counts)


@dataclass(frozen=True)
class EwmaWalk:
    """A random walk as wide as the EWMA volatility (half-life 20 bars), with one shape for all series.

    Attributes:
        table: (horizon, 11) float64; quantiles of the change of level, in units of the scale; 0 at the
            median.
    """

    name = "ewma_walk"
    table: np.ndarray

    @classmethod
    def fit(cls, windows: Windows, end: np.datetime64) -> Self:
        """Fit the shape to the changes of all series that end at or before `end`, divided by their scales.

        A step with fewer than 20 changes uses the shape of the longest step that has enough, times the square
        root of the ratio of the steps.

        Raises:
            ModelError: no price changes before `end`.
        """
        origins = pooled_origins(windows, end)
        return cls(table=pooled_table(windows, origins, end, np.ones((len(origins), windows.horizon))))

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        """(W, horizon, 11) quantiles of the change of level; origins may have a short context."""
        quantiles: np.ndarray = windows.scale[origins, None, None] * self.table
        return quantiles


def pooled_table(windows: Windows, origins: np.ndarray, end: np.datetime64, widths: np.ndarray) -> np.ndarray:
    """(horizon, 11) quantiles of the changes that follow `origins` and end by `end`; 0 at the median.

    Each change is divided by the scale at its origin times `widths` (W, horizon).
    """
    table = np.zeros((windows.horizon, len(LEVELS)))
    counts = np.zeros(windows.horizon, dtype=np.int64)
    for h in range(1, windows.horizon + 1):
        known = known_after(windows, origins, h, end)
        some = origins[known]
        changes = (windows.level[some + h] - windows.level[some]) / (
            windows.scale[some] * widths[known, h - 1]
        )
        counts[h - 1] = len(changes)
        if len(changes):
            table[h - 1] = np.quantile(changes, LEVELS)
    return _centred(_extrapolated(table, counts))


BASELINES = (EwmaWalk.name, RandomWalk.name)


def point_change(forecaster: Forecaster, quantiles: np.ndarray) -> np.ndarray:
    """(W, horizon) change of level of the point forecast: the median, or 0 for the random walk.

    The point forecast of a random walk is the last value. The median of its past changes is not 0 if the
    price has drifted.
    """
    if isinstance(forecaster, RandomWalk):
        return np.zeros(quantiles.shape[:-1])
    median: np.ndarray = quantiles[..., MEDIAN]
    return median


def _blocks(windows: Windows, origins: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield positions in `origins` and steps whose past changes fit into memory together.

    Origins of similar age come together: a block is as wide as its oldest one.
    """
    steps = np.arange(1, windows.horizon + 1)
    age = windows.bars.age[origins] + 1
    order = np.argsort(age, kind="stable")
    stop = len(order)
    while stop:
        longest = age[order[stop - 1]]
        count = max(BLOCK // (windows.horizon * longest), 1)
        which = order[max(stop - count, 0) : stop]
        parts = -(-windows.horizon * longest // BLOCK) if count == 1 else 1
        for some in np.array_split(steps, min(parts, windows.horizon)):
            yield which, some
        stop -= len(which)


def _past_changes(windows: Windows, origins: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """(W, steps, n) changes over so many bars, ending at each of the n bars up to each origin; NaN if none.

    n is the number of bars up to the oldest origin; younger ones have NaN before their series begins.
    """
    longest = int(windows.bars.age[origins].max()) + 1
    back = np.arange(longest)[::-1]
    there = back <= windows.bars.age[origins][:, None]
    bars = np.where(there, origins[:, None] - back, 0)
    level, run = windows.level[bars], np.where(there, windows.run[bars], -1)
    padded = np.pad(level, ((0, 0), (windows.horizon, 0)))
    earlier = sliding_window_view(padded, longest, axis=1)[:, windows.horizon - steps]
    return np.where(run[:, None, :] >= steps[:, None], level[:, None, :] - earlier, np.nan)


def _empirical_quantiles(changes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(..., 11) quantiles of the finite values along the last axis of `changes`, and their counts (...)."""
    ordered = np.sort(changes, axis=-1)  # puts NaN last
    counts = np.isfinite(changes).sum(axis=-1)
    last = np.maximum(counts - 1, 0)[..., None]
    place = LEVELS * last
    below = np.floor(place).astype(np.int64)
    low, high = (np.take_along_axis(ordered, at, -1) for at in (below, np.minimum(below + 1, last)))
    quantiles = np.where(counts[..., None] > 0, low + (high - low) * (place - below), 0.0)
    # Rounding can make an interpolated value larger than the next by one last digit.
    return np.maximum.accumulate(quantiles, axis=-1), counts


def _extrapolated(quantiles: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(..., horizon, 11) quantiles; steps with too few changes are scaled from the longest other step."""
    usable = np.maximum((counts >= MIN_CHANGES).sum(axis=-1, keepdims=True), 1)
    steps = np.arange(1, quantiles.shape[-2] + 1)
    filled = np.take_along_axis(quantiles, np.minimum(steps, usable)[..., None] - 1, axis=-2)
    filled *= np.sqrt(np.maximum(steps / usable, 1.0))[..., None]
    return filled


def pooled_origins(windows: Windows, end: np.datetime64) -> np.ndarray:
    """(W,) all bars before `end` that have a scale, even with a short context; at most 200,000, sampled.

    The sample is the same every time.

    Raises:
        ModelError: no price changes before `end`.
    """
    origins = np.flatnonzero((windows.scale > 0) & (windows.bars.ds < end))
    if not known_after(windows, origins, 1, end).any():
        raise ModelError(f"no price changes before {end}, so no volatility can be estimated; add more bars")
    if len(origins) <= MAX_POOLED:
        return origins
    # Taking every k-th origin would select only a few hours of the day from hourly bars.
    return np.sort(np.random.default_rng(0).choice(origins, MAX_POOLED, replace=False))


def known_after(windows: Windows, origins: np.ndarray, h: int, end: np.datetime64) -> np.ndarray:
    """(W,) bool; whether the h bars after each origin exist by `end` and contain no long gap."""
    ends = np.minimum(origins + h, len(windows.bars) - 1)
    # A run of at least h bars also means that both bars belong to the same series.
    known: np.ndarray = (ends == origins + h) & (windows.run[ends] >= h) & (windows.bars.ds[ends] <= end)
    return known


def _centred(table: np.ndarray) -> np.ndarray:
    """Set the median of `table` to 0, and clip the other quantiles to their side of 0."""
    table = np.where(np.arange(len(LEVELS)) < MEDIAN, np.minimum(table, 0), np.maximum(table, 0))
    table[:, MEDIAN] = 0
    return table
