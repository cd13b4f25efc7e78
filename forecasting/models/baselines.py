"""The two random walks that every model is measured against, and that stand in when it falls short.

Both say that the price stays where it is, and differ in how far it may stray: one asks the series' own whole
past, the other the volatility of the last weeks.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from forecasting.errors import ModelError
from forecasting.models.forecaster import Forecaster
from forecasting.models.windows import Windows
from forecasting.quantiles import LEVELS, MEDIAN

# With fewer changes than this, the 5% and 95% quantiles would be little more than the extremes.
MIN_CHANGES = 20
# More origins than this move a pooled quantile by less than it differs from one year to the next.
MAX_POOLED = 200_000
# How many changes of one series are held at a time: 32 MB of them.
BLOCK = 4_000_000


class RandomWalk:
    """A random walk with each series' own empirical quantiles of h-bar changes over its past.

    For each origin these are all overlapping h-bar changes that end at or before it, without a long gap
    inside; quantiles are interpolated linearly (Hyndman and Fan's type 7). Steps with fewer than 20 such
    changes take the quantiles of the longest step h0 that has 20 (or else of the first), times sqrt(h / h0).
    A series without any change behind it is not expected to move.
    """

    name = "random_walk"

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        """(W, horizon, 11) quantiles of the change of level; origins need no whole context."""
        quantiles = np.zeros((len(origins), windows.horizon, len(LEVELS)))
        counts = np.zeros((len(origins), windows.horizon), dtype=np.int64)
        series = windows.bars.series[origins]
        age = windows.bars.age[origins]
        for one in np.unique(series):
            of_series = np.flatnonzero(series == one)
            for steps in _step_blocks(windows, one):
                changes = _past_changes(windows, one, steps)
                for which in of_series:
                    past = changes[:, : age[which] + 1]
                    quantiles[which, steps - 1], counts[which, steps - 1] = _empirical_quantiles(past)
        return _extrapolated(quantiles, counts)


@dataclass(frozen=True)
class EwmaWalk:
    """A random walk whose width follows the EWMA volatility (half-life 20), of one shape for all series.

    Attributes:
        table: (horizon, 11) float64; quantiles of the change of level in scales, 0 at the median.
    """

    name = "ewma_walk"
    table: np.ndarray

    @classmethod
    def fit(cls, windows: Windows, end: np.datetime64) -> Self:
        """Pool the changes of all series that end at or before `end`, each in scales at its origin.

        Steps with fewer than 20 changes take the shape of the longest step that has them, times the square
        root of the steps between.

        Raises:
            ModelError: no price moves before `end`.
        """
        origins = pooled_origins(windows, end)
        return cls(table=pooled_table(windows, origins, end, np.ones((len(origins), windows.horizon))))

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        """(W, horizon, 11) quantiles of the change of level; origins need no whole context."""
        quantiles: np.ndarray = windows.scale[origins, None, None] * self.table
        return quantiles


def pooled_table(windows: Windows, origins: np.ndarray, end: np.datetime64, widths: np.ndarray) -> np.ndarray:
    """(horizon, 11) quantiles of the changes after `origins` by `end`, 0 at the median.

    Each change counts in scales at its origin times `widths` (W, horizon).
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
    """(W, horizon) change of level of the point forecast: the median, but 0 for the random walk.

    The point forecast of a walk is the last value, which the median of a past that drifted is not.
    """
    if isinstance(forecaster, RandomWalk):
        return np.zeros(quantiles.shape[:-1])
    median: np.ndarray = quantiles[..., MEDIAN]
    return median


def _step_blocks(windows: Windows, series: int) -> list[np.ndarray]:
    """The steps 1..horizon in blocks whose changes over the series' bars fit in memory together."""
    blocks = -(-windows.horizon * windows.bars.lengths[series] // BLOCK)
    return np.array_split(np.arange(1, windows.horizon + 1), min(blocks, windows.horizon))


def _past_changes(windows: Windows, series: int, steps: np.ndarray) -> np.ndarray:
    """(steps, n) changes over so many bars that end at each of the series' n bars; NaN without one."""
    start, stop = windows.bars.offsets[series : series + 2]
    level = windows.level[start:stop]
    padded = np.concatenate([np.full(windows.horizon, np.nan), level])
    earlier = sliding_window_view(padded, len(level))[windows.horizon - steps]
    return np.where(windows.run[start:stop] >= steps[:, None], level - earlier, np.nan)


def _empirical_quantiles(changes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(steps, 11) quantiles of the finite values of each row of `changes`, and (steps,) how many of them."""
    ordered = np.sort(changes, axis=1)  # NaNs last
    counts = np.isfinite(changes).sum(axis=1)
    last = np.maximum(counts - 1, 0)[:, None]
    place = LEVELS * last
    below = np.floor(place).astype(np.int64)
    low, high = (np.take_along_axis(ordered, at, 1) for at in (below, np.minimum(below + 1, last)))
    quantiles = np.where(counts[:, None] > 0, low + (high - low) * (place - below), 0.0)
    # Rounding may put an interpolated value one last digit above the next.
    return np.maximum.accumulate(quantiles, axis=1), counts


def _extrapolated(quantiles: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(..., horizon, 11) with the steps of too few changes filled from the longest step that has enough."""
    usable = np.maximum((counts >= MIN_CHANGES).sum(axis=-1, keepdims=True), 1)
    steps = np.arange(1, quantiles.shape[-2] + 1)
    filled = np.take_along_axis(quantiles, np.minimum(steps, usable)[..., None] - 1, axis=-2)
    filled *= np.sqrt(np.maximum(steps / usable, 1.0))[..., None]
    return filled


def pooled_origins(windows: Windows, end: np.datetime64) -> np.ndarray:
    """All bars before `end` with a scale, with or without a whole context; of more than 200,000 a sample.

    Always the same one.

    Raises:
        ModelError: no price moves before `end`.
    """
    origins = np.flatnonzero((windows.scale > 0) & (windows.bars.ds < end))
    if not known_after(windows, origins, 1, end).any():
        raise ModelError(f"no price moves before {end}, so there is no volatility to learn; give more bars")
    if len(origins) <= MAX_POOLED:
        return origins
    # Not every k-th: hourly bars would then all be of the same few hours of the day.
    return np.sort(np.random.default_rng(0).choice(origins, MAX_POOLED, replace=False))


def known_after(windows: Windows, origins: np.ndarray, h: int, end: np.datetime64) -> np.ndarray:
    """(W,) bool; whether the h bars after each origin exist by `end`, without a long gap."""
    ends = np.minimum(origins + h, len(windows.bars) - 1)
    # A run that long at the end of the change also says that both bars are of one series.
    known: np.ndarray = (ends == origins + h) & (windows.run[ends] >= h) & (windows.bars.ds[ends] <= end)
    return known


def _centred(table: np.ndarray) -> np.ndarray:
    """`table` with its median at 0, and no quantile on the wrong side of it."""
    table = np.where(np.arange(len(LEVELS)) < MEDIAN, np.minimum(table, 0), np.maximum(table, 0))
    table[:, MEDIAN] = 0
    return table
