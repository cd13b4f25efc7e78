"""Jumps: changes of price far beyond a series' own usual ones, and which of them look like splits.

How large a change usually is, a bar knows from the past alone: the scale is the median absolute change of the
last whole block of bars before it, so that neither the jump itself nor anything later has a say in it. A
median, unlike a standard deviation, does not grow with the jumps it is there to find.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from forecasting.panel import Panel
from forecasting.prices.bars import Bars

# Bars a block: about a quarter of daily ones.
_BLOCK = 60
# How many bars must keep a new level before it can be called a split: a price that shoots up and comes back
# within the week (Henry Hub, 2024-01-12) is none.
_SETTLED = 5
# How far, as a log ratio, the level may drift meanwhile.
_DRIFT = 0.2
# A split must stand out of the usual changes, if less than a spike must.
_STANDS_OUT = 6
# A crash is traded, a split is not: of two halvings of Apple, the split of 2000-06-21 had half the usual
# turnover, the profit warning of 2000-09-29 eleven times as much.
_NEWS = 4
# New units for one old one, or the reverse: splits, then redenominations. Real prices move by a third and
# stay (oil on 1991-01-17, the krona on 2008-11-06), so a 3:2 split cannot be told from them: it is a spike.
_FACTORS = (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 40, 50, 100, 1_000, 10_000, 100_000, 1_000_000)
_RATIOS = np.sort([*_FACTORS, *(1 / factor for factor in _FACTORS)])
_LOG_RATIOS = np.log(_RATIOS)


@dataclass(frozen=True)
class Jumps:
    """The changes of N bars, next to how large they usually are.

    Attributes:
        change: (N,) float64; from the bar before, of the panel's transform. NaN at a series' first bar.
        scale: (N,) float64; the usual absolute change, over as long a time. NaN where it is not known yet.
    """

    change: np.ndarray
    scale: np.ndarray

    @cached_property
    def size(self) -> np.ndarray:
        """(N,) each change in usual ones; NaN where that is not known."""
        return np.abs(self.change) / self.scale


@dataclass(frozen=True)
class Splits:
    """The likely splits among the bars.

    Attributes:
        at: positions in `Bars` of the first bar on each new level, increasing.
        ratio: how many times the old price the new one is, as the split alone makes it: 0.5 for a 2:1 split.
    """

    at: np.ndarray
    ratio: np.ndarray


def find_jumps(bars: Bars, panel: Panel) -> Jumps:
    """Every change of `bars`, and the usual one by then.

    A change over a longer time (a weekend, a night, a hole) may be larger, by the square root of that time.
    """
    first = bars.age == 0
    change = np.diff(_levels(bars, panel), prepend=np.nan)
    change[first] = np.nan
    step = pd.Timedelta(panel.bars.freq).to_timedelta64()
    steps = np.diff(bars.ds, prepend=bars.ds[:1]) / step
    steps[first] = 1
    per_step = np.abs(change) / np.sqrt(steps)
    return Jumps(change, _usual(bars, per_step) * np.sqrt(steps))


def _levels(bars: Bars, panel: Panel) -> np.ndarray:
    if panel.forecast.transform == "diff":
        return bars.y
    # A price that was let in under another transform has no logarithm, and is judged by the audit of rows.
    return np.log(np.where(bars.y > 0, bars.y, np.nan))


def _usual(bars: Bars, change: np.ndarray) -> np.ndarray:
    """(N,) the median of the changes other than zero in the last whole block before each bar."""
    blocks = bars.lengths // _BLOCK
    firsts = np.concatenate([[0], np.cumsum(blocks)])
    within = np.arange(firsts[-1]) - np.repeat(firsts[:-1], blocks)
    starts = np.repeat(bars.offsets[:-1], blocks) + within * _BLOCK
    moved = np.where(change > 0, change, np.nan)[starts[:, None] + np.arange(_BLOCK)]
    moved.sort(axis=1)  # what is no change comes last
    count = np.count_nonzero(~np.isnan(moved), axis=1)
    medians = np.take_along_axis(moved, (count[:, None] - 1) // 2, axis=1)[:, 0]
    before = bars.age // _BLOCK - 1
    known = before >= 0
    usual = np.full(len(bars), np.nan)
    usual[known] = medians[(firsts[bars.series] + before)[known]]
    return usual


def find_splits(bars: Bars, jumps: Jumps, volume: np.ndarray, panel: Panel) -> Splits:
    """The changes that look like a split or a redenomination whose past was not adjusted.

    Such a change is a round ratio but for a usual day's move, it stands out, the levels before and after it
    keep for five bars, and it is not traded as news are. Where changes are differences, there are none.

    Args:
        bars: the prices.
        jumps: theirs.
        volume: (N,) of the same bars; NaN where it is not known, and then it has no say.
        panel: how far from the round ratio a change may be, in usual ones (`split_scales`).
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
    """A split as it is written: `2:1` where one share became two."""
    return f"{1 / ratio:.4g}:1" if ratio < 1 else f"1:{ratio:.4g}"


def _nearest(change: np.ndarray) -> np.ndarray:
    """(N,) which of `_RATIOS` is nearest to each log change."""
    middles = (_LOG_RATIOS[1:] + _LOG_RATIOS[:-1]) / 2
    return np.searchsorted(middles, change)
