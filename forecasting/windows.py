"""Windows: (context, target) pairs, indexed by the bar they start from and gathered a batch at a time.

A window is named by its *origin*, the position in `Bars` of the last bar that it knows. Nothing is held per
window but that number: memory grows with the prices, not with windows x context. Every value at a bar
depends only on that bar and earlier ones of its series, and a window is scaled by the volatility at its
origin, so that no price after an origin can move its context.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from forecasting.as_of import as_of_label
from forecasting.bars import Bars
from forecasting.calendar import BarCalendar
from forecasting.errors import ModelError
from forecasting.panel import Panel

# Half-life of the volatility that scales a window and carries the EWMA baseline, in bars.
SCALE_HALF_LIFE = 20
# Half-lives of the volatilities that a network sees besides it: a week, a quarter, and a year of daily bars.
# The root mean square change so far goes with them.
FEATURE_HALF_LIVES = (5, 60, 250)
# A scale never falls below this share of the series' root mean square change so far: during a peg the EWMA
# fades to nothing, and the first move after it would count as thousands of scales.
SCALE_FLOOR = 0.1

# Of `Windows.features`: the first column with the logarithm of a volatility, the scale's, and how many have.
LOG_SCALE = 1
VOLATILITIES = 2 + len(FEATURE_HALF_LIVES)

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
        return base * np.exp(change) if self.log else base + change


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
    change = _change(level, run, 1)
    so_far = _so_far(change, bars.series)
    scale = np.maximum(_volatility(change, bars.series, SCALE_HALF_LIFE), SCALE_FLOOR * so_far)
    others = [_volatility(change, bars.series, half_life) for half_life in FEATURE_HALF_LIVES] + [so_far]
    features = [
        np.nan_to_num(_change(level, run, panel.model.sampling_step)),
        _log(scale),
        *(_log(np.maximum(volatility, SCALE_FLOOR * scale)) for volatility in others),
        *(_calendar_waves(bars.ds) if _has_calendar_waves(panel) else ()),
    ]
    return Windows(
        bars=bars,
        level=level,
        scale=scale,
        features=np.stack(features, axis=1, dtype=np.float32),
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
    return panel.bars.freq != "1D"


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


def _so_far(change: np.ndarray, series: np.ndarray) -> np.ndarray:
    """(N,) root mean square of all changes of the series so far; 0 before the first one."""
    squares = pd.Series(np.nan_to_num(change**2)).groupby(series).cumsum().to_numpy()
    counts = pd.Series(np.isfinite(change)).groupby(series).cumsum().to_numpy()
    return np.sqrt(squares / np.maximum(counts, 1))


def _volatility(change: np.ndarray, series: np.ndarray, half_life: int) -> np.ndarray:
    """(N,) square root of the exponentially weighted mean of squared changes; 0 before the first one."""
    mean = pd.Series(change**2).groupby(series).ewm(halflife=half_life, ignore_na=True).mean()
    return np.nan_to_num(np.sqrt(mean.to_numpy()))


def _calendar_waves(ds: np.ndarray) -> list[np.ndarray]:
    """Where in the day and the week each bar starts, as sines and cosines."""
    phases = [2 * np.pi * ((ds - _A_MONDAY) / period) for period in _PERIODS]
    return [wave(phase) for phase in phases for wave in (np.sin, np.cos)]


def _log(scale: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(scale, np.finfo(np.float64).tiny))
