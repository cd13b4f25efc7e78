"""Jumps: price changes far larger than a series' usual ones, and which of them look like splits.

The usual change at a bar is the median absolute change of the last whole block of bars before it, so neither
the jump itself nor later bars affect it. Unlike a standard deviation, a median does not grow with the jumps
that it is used to find.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from forecasting.panel import Panel
from forecasting.prices.bars import Bars

# Bars per block: about a quarter of a year of daily bars.
_BLOCK = 60
# Bars that must keep the new level before a change counts as a split: a price that jumps and returns within
# a week (Henry Hub, 2024-01-12) is not a split.
_SETTLED = 5
# Largest drift of the level over those bars, as a log ratio.
_DRIFT = 0.2
# Smallest size of a split, in usual changes; smaller than that of a spike.
_STANDS_OUT = 6
# Turnover above this multiple of the usual one means news, not a split. Apple halved twice in 2000: at the
# split of 06-21 with half the usual turnover, at the profit warning of 09-29 with eleven times as much.
_NEWS = 4
# New units per old unit, or the reverse: splits, then redenominations. Real prices move by a third and stay
# there (oil on 1991-01-17, the krona on 2008-11-06), so a 3:2 split is reported as a spike.
_FACTORS = (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 40, 50, 100, 1_000, 10_000, 100_000, 1_000_000)
_RATIOS = np.sort([*_FACTORS, *(1 / factor for factor in _FACTORS)])
_LOG_RATIOS = np.log(_RATIOS)


@dataclass(frozen=True)
class Jumps:
    """The changes of N bars, with the usual change at each bar.

    Attributes:
        change: (N,) float64; change from the bar before, in the panel's transform. NaN at the first bar of a
            series.
        scale: (N,) float64; usual absolute change over the same time span. NaN where it is not known yet.
    """

    change: np.ndarray
    scale: np.ndarray

    @cached_property
    def size(self) -> np.ndarray:
        """(N,) size of each change as a multiple of the usual one; NaN where that is not known."""
        return np.abs(self.change) / self.scale


@dataclass(frozen=True)
class Splits:
    """The likely splits among the bars.

    Attributes:
        at: positions in `Bars` of the first bar on each new level, increasing.
        ratio: new price divided by old price, by the split alone: 0.5 for a 2:1 split.
    """

    at: np.ndarray
    ratio: np.ndarray


def find_jumps(bars: Bars, panel: Panel) -> Jumps:
    """Every change of `bars`, with the usual change at that time.

    The usual change over a longer span (a weekend, a night, a gap) grows with the square root of its length.
    """
    first = bars.age == 0
    change = np.diff(_levels(bars, panel), prepend=np.nan)
    change[first] = np.nan
    steps = np.diff(bars.ds, prepend=bars.ds[:1]) / panel.bars.step
    steps[first] = 1
    per_step = np.abs(change) / np.sqrt(steps)
    return Jumps(change, _usual(bars, per_step) * np.sqrt(steps))


def _levels(bars: Bars, panel: Panel) -> np.ndarray:
    if panel.forecast.transform == "diff":
        return bars.y
    # A non-positive price accepted under another transform has no logarithm; the audit of rows handles it.
    return np.log(np.where(bars.y > 0, bars.y, np.nan))


def _usual(bars: Bars, change: np.ndarray) -> np.ndarray:
    """(N,) median of the non-zero changes in the last whole block before each bar."""
    blocks = bars.lengths // _BLOCK
    firsts = np.concatenate([[0], np.cumsum(blocks)])
    within = np.arange(firsts[-1]) - np.repeat(firsts[:-1], blocks)
    starts = np.repeat(bars.offsets[:-1], blocks) + within * _BLOCK
    moved = np.where(change > 0, change, np.nan)[starts[:, None] + np.arange(_BLOCK)]
    moved.sort(axis=1)  # NaN sorts last
    count = np.count_nonzero(~np.isnan(moved), axis=1)
    medians = np.take_along_axis(moved, (count[:, None] - 1) // 2, axis=1)[:, 0]
    before = bars.age // _BLOCK - 1
    known = before >= 0
    usual = np.full(len(bars), np.nan)
    usual[known] = medians[(firsts[bars.series] + before)[known]]
    return usual


def find_splits(bars: Bars, jumps: Jumps, volume: np.ndarray, panel: Panel) -> Splits:
    """Find changes that look like a split or a redenomination whose past was not adjusted.

    Such a change is close to a round ratio, is much larger than usual, keeps its level for five bars on both
    sides, and has no unusual turnover. With `transform = "diff"` nothing is reported.

    Args:
        bars: the prices.
        jumps: the changes of `bars`.
        volume: (N,) traded volume of each bar; NaN where it is not known, and then it is not used.
        panel: `split_scales` is the largest distance from the round ratio, in usual changes.
    """
    if panel.forecast.transform != "log":
        return Splits(np.array([], dtype=np.int64), np.array([]))
    settled = (bars.age >= _SETTLED) & (bars.lengths[bars.series] - bars.age > _SETTLED)
    at = np.flatnonzero((jumps.size >= _STANDS_OUT) & settled)
    nearest = _nearest(jumps.change[at])
    off = np.abs(jumps.change[at] - _LOG_RATIOS[nearest])
    is_round = off <= panel.audit.split_scales * jumps.scale[at]
    at, nearest = at[is_round], nearest[is_round]
    before = at[:, None] - 1 - np.arange(_SETTLED)
    after = at[:, None] + 1 + np.arange(_SETTLED)
    moved = np.log(np.median(bars.y[after], axis=1) / np.median(bars.y[before], axis=1))
    news = bars.y[at] * volume[at] > _NEWS * np.median(bars.y[before] * volume[before], axis=1)
    split = (np.abs(moved - _LOG_RATIOS[nearest]) <= _DRIFT) & ~news
    return Splits(at[split], _RATIOS[nearest[split]])


def split_name(ratio: float) -> str:
    """A split in the usual notation: `2:1` if one share became two."""
    return f"{1 / ratio:.4g}:1" if ratio < 1 else f"1:{ratio:.4g}"


def _nearest(change: np.ndarray) -> np.ndarray:
    """(N,) index of the ratio in `_RATIOS` nearest to each log change."""
    middles = (_LOG_RATIOS[1:] + _LOG_RATIOS[:-1]) / 2
    return np.searchsorted(middles, change)
