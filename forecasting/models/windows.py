"""Windows: pairs of a context and a target, gathered one batch at a time.

A window is identified by its *origin*: the position in `Bars` of the last bar of its context. Only the origin
is stored for each window, so memory grows with the number of bars, not with windows x context. Each value at
a bar depends only on that bar and earlier bars of its series, and a window is scaled by the volatility at its
origin. Prices after an origin therefore cannot change its context.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from forecasting.calendar import BarCalendar
from forecasting.errors import ModelError
from forecasting.panel import Panel
from forecasting.panel_settings import LEAST_BARS
from forecasting.prices.bars import Bars

# Half-life, in bars, of the volatility that scales a window and that the EWMA walk uses.
SCALE_HALF_LIFE = 20
# Half-lives of the other volatilities among the features: a week, a quarter and a year of daily bars. The
# root mean square change so far is a further one.
FEATURE_HALF_LIVES = (5, 60, 250)
# A scale is at least this share of the series' root mean square change so far. During a currency peg the EWMA
# fades to almost 0, and the first change after the peg would be thousands of scales.
SCALE_FLOOR = 0.1

# The largest change of a logarithm that a price can have, e^600: exp overflows at 709, and prices reach 1e30.
MOST_CHANGE = 600.0

# Columns of `Windows.features` with logarithms of volatilities: the first of them (the scale), and their
# number.
LOG_SCALE = 1
VOLATILITIES = 2 + len(FEATURE_HALF_LIVES)

# Length of the blocks that are summed in parallel: few steps in Python, and little padding.
_BLOCK = 128
_PERIODS = tuple(np.timedelta64(hours, "h") for hours in (12, 24, 7 * 24))
_A_MONDAY = np.datetime64("1970-01-05", "us")


@dataclass(frozen=True)
class Windows:
    """The windows of N observed bars.

    Attributes:
        bars: the N bars.
        level: (N,) float64; the log price, or the price if the transform is `diff`. Changes of it add up.
        scale: (N,) float64; EWMA volatility of the one-bar change of `level` up to each bar; 0 until the
            series first changes.
        features: (N, F) float32; column 0 is the change over `sampling_step` bars divided by the square root
            of `sampling_step`, then come logarithms of the scale and other volatilities, then calendar
            features.
        run: (N,) int64; the number of bars before each bar, back to the last long gap or the series' start.
        context_bars: the length of a context in bars.
        least_bars: bars of a series from which on contexts are padded; None where a context must be complete.
        sampling_step: the number of bars between two steps of a context.
        horizon: the length of a target in bars.
        log: whether `level` is the log price.
        calendar: the calendar of the bars.
    """

    bars: Bars
    level: np.ndarray
    scale: np.ndarray
    features: np.ndarray
    run: np.ndarray
    context_bars: int
    least_bars: int | None
    sampling_step: int
    horizon: int
    log: bool
    calendar: BarCalendar

    @cached_property
    def has_context(self) -> np.ndarray:
        """(N,) bool; bars that a network can forecast from: they have a scale, and enough bars before them.

        Enough is a complete context without a long gap or, with `least_bars`, that many bars of the series.
        """
        if self.least_bars is not None:
            return (self.bars.age >= self.least_bars - 1) & (self.scale > 0)
        return (self.run >= self.context_bars) & (self.scale > 0)

    @cached_property
    def has_target(self) -> np.ndarray:
        """(N,) bool; bars that are followed by a complete target without a long gap."""
        ends = np.arange(len(self.bars)) + self.horizon
        inside = ends < len(self.bars)
        ends = np.where(inside, ends, 0)
        same_series = self.bars.series[ends] == self.bars.series
        return inside & same_series & (self.run[ends] >= self.horizon)

    def target_end(self, origins: np.ndarray) -> np.ndarray:
        """(W,) datetime64; the last bar of each window's target."""
        return self.bars.ds[origins + self.horizon]

    def before(self, end: np.datetime64) -> np.ndarray:
        """(W,) origins of all complete windows whose targets end at or before `end`: the training windows."""
        origins = np.flatnonzero(self.has_context & self.has_target)
        return origins[self.target_end(origins) <= end]

    def after(self, start: np.datetime64) -> np.ndarray:
        """(W,) origins, at or after `start`, of all complete windows. Their targets lie after `start`."""
        origins = np.flatnonzero(self.has_context & self.has_target)
        return origins[self.bars.ds[origins] >= start]

    def contexts(self, origins: np.ndarray) -> np.ndarray:
        """(W, context, F) float32; the features of each window's steps. The last step is the origin."""
        return gather(self.features, origins, self.context_bars, self.sampling_step)

    def targets(self, origins: np.ndarray) -> np.ndarray:
        """(W, horizon) float64; the change of `level` from each origin to each step of its target."""
        following = sliding_window_view(self.level, self.horizon)[origins + 1]
        return following - self.level[origins, None]

    def to_price(self, origins: np.ndarray, change: np.ndarray) -> np.ndarray:
        """Convert changes of `level` from each origin (W, ...) to prices (W, ...)."""
        base = self.bars.y[origins].reshape(-1, *[1] * (change.ndim - 1))
        return base * np.exp(np.clip(change, -MOST_CHANGE, MOST_CHANGE)) if self.log else base + change


def gather(values: np.ndarray, origins: np.ndarray, context_bars: int, sampling_step: int) -> np.ndarray:
    """(W, context, F) copies from `values` (N, F): every `sampling_step`-th bar up to each origin."""
    span = context_bars - sampling_step + 1
    # With the last axis of `values` kept last in the view, numpy copies whole rows.
    views = sliding_window_view(values, (span, values.shape[1]))
    return views[origins - span + 1, 0, ::sampling_step]


def build_windows(panel: Panel, bars: Bars, calendar: BarCalendar) -> Windows:
    """Build the windows of `bars` with the settings of `panel`.

    Raises:
        ModelError: the panel uses log prices, and a price is not positive.
    """
    log = panel.forecast.transform == "log"
    if log and (bars.y <= 0).any():
        worst = int(np.argmin(bars.y))
        raise ModelError(
            f"{bars.ids[bars.series[worst]]} has the price {bars.y[worst]:g} on "
            f"{panel.label(bars.ds[worst])}, which has no logarithm; "
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

    # The pretrained network computes its own inputs.
    features = np.empty((len(bars), 0 if panel.model.is_pretrained else feature_count(panel)), np.float32)
    for place, column in enumerate(columns() if features.shape[1] else ()):
        features[:, place] = column
    return Windows(
        bars=bars,
        level=level,
        scale=scale,
        features=features,
        run=run,
        context_bars=panel.model.context_bars,
        least_bars=LEAST_BARS if panel.model.is_pretrained else None,
        sampling_step=panel.model.sampling_step,
        horizon=panel.forecast.horizon,
        log=log,
        calendar=calendar,
    )


def feature_count(panel: Panel) -> int:
    """Return F, the number of features of the panel's windows."""
    return LOG_SCALE + VOLATILITIES + (2 * len(_PERIODS) if _has_calendar_waves(panel) else 0)


def _has_calendar_waves(panel: Panel) -> bool:
    return panel.bars.intraday


def _run_lengths(bars: Bars, position: np.ndarray, max_gap_bars: int) -> np.ndarray:
    """(N,) bars since the start of the series, or since its last gap of more than `max_gap_bars` bars."""
    missing = np.diff(position, prepend=0) - 1
    starts = (bars.age == 0) | (missing > max_gap_bars)
    index = np.arange(len(bars))
    return index - np.maximum.accumulate(np.where(starts, index, 0))


def _change(level: np.ndarray, run: np.ndarray, bars: int) -> np.ndarray:
    """(N,) change over `bars` bars divided by sqrt(`bars`); NaN across a long gap or the series' start."""
    change = np.full(len(level), np.nan)
    change[bars:] = (level[bars:] - level[:-bars]) / np.sqrt(bars)
    return np.where(run >= bars, change, np.nan)


@dataclass(frozen=True)
class _Moves:
    """The M one-bar changes of S series. Bars without a change are left out.

    Attributes:
        squares: (M,) float64; the squared changes, series by series.
        lengths: (S,) int64; the number of changes of each series.
        last: (N,) int64; the position of the last change up to each bar. If `counts` is 0, it belongs to
            another series.
        counts: (N,) int64; the number of changes of the bar's series up to each bar.
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
        """(N,) square root of the exponentially weighted mean of squared changes; 0 without changes."""
        if not len(self.squares):
            return np.zeros(len(self.counts))
        decay = 0.5 ** (1 / half_life)
        weights = np.cumsum(decay ** np.arange(self.lengths.max()))
        sums = _decayed_sums(self.squares, self.lengths, decay)[self.last]
        return np.sqrt(np.where(self.counts > 0, sums / weights[self.counts - 1], 0))


def _decayed_sums(values: np.ndarray, lengths: np.ndarray, decay: float) -> np.ndarray:
    """(M,) sums s[i] = values[i] + decay * s[i - 1], restarted for each series; `lengths` is (S,).

    Each series is cut into blocks. All blocks are summed in parallel. Then each block adds the decayed sum of
    the blocks before it, which this function computes in the same way.
    """
    blocks = -(-lengths // _BLOCK)
    firsts = np.cumsum(blocks) - blocks
    place = np.arange(len(values)) + np.repeat(firsts * _BLOCK - (np.cumsum(lengths) - lengths), lengths)
    sums = np.zeros(blocks.sum() * _BLOCK)
    sums[place] = values
    sums = sums.reshape(-1, _BLOCK).T.copy()  # one step of all blocks is contiguous in memory
    for step in range(1, _BLOCK):
        sums[step] += decay * sums[step - 1]
    if (blocks > 1).any():
        handed_on = np.concatenate([[0.0], _decayed_sums(sums[-1], blocks, decay**_BLOCK)[:-1]])
        handed_on[firsts[blocks > 0]] = 0
        for step in range(_BLOCK):
            sums[step] += decay ** (step + 1) * handed_on
    return sums.T.ravel()[place]


def _calendar_waves(ds: np.ndarray) -> list[np.ndarray]:
    """Return the position of each bar in the half day, day and week, as sines and cosines."""
    phases = [2 * np.pi * ((ds - _A_MONDAY) / period) for period in _PERIODS]
    return [wave(phase) for phase in phases for wave in (np.sin, np.cos)]


def _log(scale: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(scale, np.finfo(np.float64).tiny))
