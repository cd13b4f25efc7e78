"""Windows: (context, target) pairs, indexed by the bar they start from and gathered a batch at a time.

A window is named by its *origin*, the position in `Bars` of the last bar that it knows. Nothing is held per
window but that number: memory grows with the prices, not with windows x context. Every value at a bar
depends only on that bar and earlier ones of its series, and a window is scaled by the volatility at its
origin, so that no price after an origin can move its context.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from forecasting.as_of import as_of_label
from forecasting.calendar import BarCalendar
from forecasting.errors import ModelError
from forecasting.panel import Panel
from forecasting.prices.bars import Bars

# Half-life of the volatility that scales a window and carries the EWMA baseline, in bars.
SCALE_HALF_LIFE = 20
# Half-lives of the volatilities that a network sees besides it: a week, a quarter, and a year of daily bars.
# The root mean square change so far goes with them.
FEATURE_HALF_LIVES = (5, 60, 250)
# A scale never falls below this share of the series' root mean square change so far: during a peg the EWMA
# fades to nothing, and the first move after it would count as thousands of scales.
SCALE_FLOOR = 0.1

# The largest change of a logarithm that a price can have, e^600: exp overflows at 709, and prices reach 1e30.
MOST_CHANGE = 600.0

# Of `Windows.features`: the first column with the logarithm of a volatility, the scale's, and how many have.
LOG_SCALE = 1
VOLATILITIES = 2 + len(FEATURE_HALF_LIVES)

# Bars summed one after another, in all series at once: few steps for Python, and little to pad.
_BLOCK = 128
_PERIODS = tuple(np.timedelta64(hours, "h") for hours in (12, 24, 7 * 24))
_A_MONDAY = np.datetime64("1970-01-05", "us")


@dataclass(frozen=True)
class Windows:
    """The windows of some bars.

    Attributes:
        bars: the N observed bars.
        level: (N,) float64; the target on the scale on which changes add up: log price, or price for `diff`.
        scale: (N,) float64; EWMA volatility of the one-bar change of `level`, known at each bar; 0 until the
            series first moves.
        features: (N, F) float32; column 0 the change over `sampling_step` bars (per square root of a bar),
            then the logarithms of the scale and of other volatilities, then calendar features.
        run: (N,) int64; how many bars came before each one without a long gap between.
        context_bars: how many bars a context spans.
        sampling_step: how many bars lie from one step of a context to the next.
        horizon: how many bars a target spans.
        log: whether `level` is the logarithm of the price.
    """

    bars: Bars
    level: np.ndarray
    scale: np.ndarray
    features: np.ndarray
    run: np.ndarray
    context_bars: int
    sampling_step: int
    horizon: int
    log: bool

    @cached_property
    def has_context(self) -> np.ndarray:
        """(N,) bool; bars with a whole context behind them, no long gap in it, and a scale."""
        return (self.run >= self.context_bars) & (self.scale > 0)

    @cached_property
    def has_target(self) -> np.ndarray:
        """(N,) bool; bars with a whole target after them, no long gap in it."""
        ends = np.arange(len(self.bars)) + self.horizon
        inside = ends < len(self.bars)
        ends = np.where(inside, ends, 0)
        same_series = self.bars.series[ends] == self.bars.series
        return inside & same_series & (self.run[ends] >= self.horizon)

    def target_end(self, origins: np.ndarray) -> np.ndarray:
        """(W,) datetime64; the last bar of each window's target."""
        return self.bars.ds[origins + self.horizon]

    def before(self, end: np.datetime64) -> np.ndarray:
        """(W,) origins of all whole windows whose targets end at or before `end`: those to train on."""
        origins = np.flatnonzero(self.has_context & self.has_target)
        return origins[self.target_end(origins) <= end]

    def after(self, start: np.datetime64) -> np.ndarray:
        """(W,) origins at or after `start` of all whole windows; none of their targets is at or before it."""
        origins = np.flatnonzero(self.has_context & self.has_target)
        return origins[self.bars.ds[origins] >= start]

    def contexts(self, origins: np.ndarray) -> np.ndarray:
        """(W, context, F) float32; the features of each window's steps, the last one its origin."""
        return gather(self.features, origins, self.context_bars, self.sampling_step)

    def targets(self, origins: np.ndarray) -> np.ndarray:
        """(W, horizon) float64; the change of `level` from each origin to each step ahead."""
        following = sliding_window_view(self.level, self.horizon)[origins + 1]
        return following - self.level[origins, None]

    def to_price(self, origins: np.ndarray, change: np.ndarray) -> np.ndarray:
        """Prices after a change of `level` from each origin; `change` is (W, ...)."""
        base = self.bars.y[origins].reshape(-1, *[1] * (change.ndim - 1))
        return base * np.exp(np.clip(change, -MOST_CHANGE, MOST_CHANGE)) if self.log else base + change


def gather(values: np.ndarray, origins: np.ndarray, context_bars: int, sampling_step: int) -> np.ndarray:
    """(W, context, F) copies of `values` (N, F): every `sampling_step`-th bar, the last one each origin."""
    span = context_bars - sampling_step + 1
    # A view whose last axis is that of `values` lets numpy copy whole rows.
    views = sliding_window_view(values, (span, values.shape[1]))
    return views[origins - span + 1, 0, ::sampling_step]


def build_windows(panel: Panel, bars: Bars, calendar: BarCalendar) -> Windows:
    """The windows of `bars` as `panel` wants them.

    Raises:
        ModelError: the panel transforms prices to logarithms, and one is not positive.
    """
    log = panel.forecast.transform == "log"
    if log and (bars.y <= 0).any():
        worst = int(np.argmin(bars.y))
        raise ModelError(
            f"{bars.ids[bars.series[worst]]} has the price {bars.y[worst]:g} on "
            f"{as_of_label(bars.ds[worst], panel.bars.freq)}, which has no logarithm; "
            f'set transform = "diff" in [forecast] of panel {panel.name}'
        )
    level = np.log(bars.y) if log else bars.y
    run = _run_lengths(bars, calendar.position(bars.ds), panel.audit.max_gap_bars)
    moves = _Moves.of(_change(level, run, 1), bars)
    so_far = moves.volatility(np.inf)
    scale = np.maximum(moves.volatility(SCALE_HALF_LIFE), SCALE_FLOOR * so_far)

    def columns() -> Iterator[np.ndarray]:
        yield np.nan_to_num(_change(level, run, panel.model.sampling_step))
        yield _log(scale)
        for half_life in FEATURE_HALF_LIVES:
            yield _log(np.maximum(moves.volatility(half_life), SCALE_FLOOR * scale))
        yield _log(np.maximum(so_far, SCALE_FLOOR * scale))
        if _has_calendar_waves(panel):
            yield from _calendar_waves(bars.ds)

    features = np.empty((len(bars), feature_count(panel)), dtype=np.float32)
    for place, column in enumerate(columns()):
        features[:, place] = column
    return Windows(
        bars=bars,
        level=level,
        scale=scale,
        features=features,
        run=run,
        context_bars=panel.model.context_bars,
        sampling_step=panel.model.sampling_step,
        horizon=panel.forecast.horizon,
        log=log,
    )


def feature_count(panel: Panel) -> int:
    """F, how many features the windows of a panel have."""
    return LOG_SCALE + VOLATILITIES + (2 * len(_PERIODS) if _has_calendar_waves(panel) else 0)


def _has_calendar_waves(panel: Panel) -> bool:
    return panel.bars.intraday


def _run_lengths(bars: Bars, position: np.ndarray, max_gap_bars: int) -> np.ndarray:
    """(N,) bars since the series began or since its last gap of more than `max_gap_bars` missing bars."""
    missing = np.diff(position, prepend=0) - 1
    starts = (bars.age == 0) | (missing > max_gap_bars)
    index = np.arange(len(bars))
    return index - np.maximum.accumulate(np.where(starts, index, 0))


def _change(level: np.ndarray, run: np.ndarray, bars: int) -> np.ndarray:
    """(N,) change over so many bars, per square root of a bar; NaN across a long gap or the start."""
    change = np.full(len(level), np.nan)
    change[bars:] = (level[bars:] - level[:-bars]) / np.sqrt(bars)
    return np.where(run >= bars, change, np.nan)


@dataclass(frozen=True)
class _Moves:
    """The one-bar changes of S series, without the bars that have none.

    Attributes:
        squares: (M,) float64; their squares, series by series.
        lengths: (S,) int64; how many each series has.
        last: (N,) int64; each bar's last one so far, of its own series or of one before.
        counts: (N,) int64; how many each bar's series has so far.
    """

    squares: np.ndarray
    lengths: np.ndarray
    last: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, change: np.ndarray, bars: Bars) -> Self:
        moved = np.isfinite(change)
        so_far = np.concatenate([[0], np.cumsum(moved)])
        before = so_far[bars.offsets]
        return cls(
            squares=change[moved] ** 2,
            lengths=np.diff(before),
            last=so_far[1:] - 1,
            counts=so_far[1:] - before[:-1][bars.series],
        )

    def volatility(self, half_life: float) -> np.ndarray:
        """(N,) square root of the exponentially weighted mean of squared changes; 0 before the first one."""
        if not len(self.squares):
            return np.zeros(len(self.counts))
        decay = 0.5 ** (1 / half_life)
        weights = np.cumsum(decay ** np.arange(self.lengths.max()))
        sums = _decayed_sums(self.squares, self.lengths, decay)[self.last]
        return np.sqrt(np.where(self.counts > 0, sums / weights[self.counts - 1], 0))


def _decayed_sums(values: np.ndarray, lengths: np.ndarray, decay: float) -> np.ndarray:
    """(M,) sums s[i] = values[i] + decay * s[i - 1] that begin anew with each series, of such `lengths` (S,).

    Each series is cut into blocks. All blocks are summed side by side, and then each gets what those before
    it in its series hand on, which are such sums again.
    """
    blocks = -(-lengths // _BLOCK)
    firsts = np.cumsum(blocks) - blocks
    place = np.arange(len(values)) + np.repeat(firsts * _BLOCK - (np.cumsum(lengths) - lengths), lengths)
    sums = np.zeros(blocks.sum() * _BLOCK)
    sums[place] = values
    sums = sums.reshape(-1, _BLOCK).T.copy()  # a step at a time is contiguous
    for step in range(1, _BLOCK):
        sums[step] += decay * sums[step - 1]
    if (blocks > 1).any():
        handed_on = np.concatenate([[0.0], _decayed_sums(sums[-1], blocks, decay**_BLOCK)[:-1]])
        handed_on[firsts[blocks > 0]] = 0
        for step in range(_BLOCK):
            sums[step] += decay ** (step + 1) * handed_on
    return sums.T.ravel()[place]


def _calendar_waves(ds: np.ndarray) -> list[np.ndarray]:
    """Where in the day and the week each bar starts, as sines and cosines."""
    phases = [2 * np.pi * ((ds - _A_MONDAY) / period) for period in _PERIODS]
    return [wave(phase) for phase in phases for wave in (np.sin, np.cos)]


def _log(scale: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(scale, np.finfo(np.float64).tiny))
