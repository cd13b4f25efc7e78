"""The pretrained network on a panel: the shipped network, and what the panel's own past adds to it.

The network has seen simulated markets only. A panel adds three things, each shrunk towards the network alone
by how little the panel can tell:

- the shape of the fan: the average of the network's quantiles with the quantiles of the panel's past changes,
  in units of the network's widths. It calibrates the width and adds half of the panel's drift and asymmetry;
- a volatility regression on the same inputs, and the weight of the two, chosen on later windows;
- for intraday bars, the profile of the week (`business_time`).

`docs/method.md` describes what was tried.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np

from forecasting.models import fan
from forecasting.models.baselines import known_after
from forecasting.models.business_time import BusinessTime
from forecasting.models.inputs import NAMES, Inputs, Moves, inputs_at
from forecasting.models.network import Network
from forecasting.models.presets import DEFAULT
from forecasting.models.windows import Windows
from forecasting.quantiles import LEVELS, MEDIAN
from forecasting.records import Record

NAME = DEFAULT.model
# The fit is given at so many steps ahead, evenly spaced in the logarithm, and interpolated between them.
KNOTS = 12
# At most this many origins are fitted on, sampled; more change nothing and cost seconds.
MAX_ORIGINS = 12_000
# The panel's own quantiles get at most this weight. The average of two is better than either
# (docs/method.md).
SHAPE_WEIGHT = 0.25
# Hours have less direction than days: this share of the median that the network sees in them is kept.
INTRADAY_SHIFT = 0.5
# So many independent windows give half of the full weight: of the shape, and of the regression.
SHAPE_WINDOWS, REGRESSION_WINDOWS = 5.0, 10.0
# Share of the windows, the latest ones, that choose the weight of the regression.
LATER_SHARE = 0.25
# With fewer changes than this there is no quantile of them.
LEAST_CHANGES = 20
_WEIGHTS = np.linspace(0, 1, 11)
_RIDGE = 1e-3
_WIDTH_LIMIT = 1.8
_LEAST_REALISED = 0.05
_BATCH = 2048
# Inputs of the regression: volatilities over several spans, and recent trends.
_REGRESSORS = tuple(place for place, name in enumerate(NAMES) if name.startswith(("volatility", "direction")))


@dataclass(frozen=True)
class PanelFit(Record):
    """What a panel's past adds to the pretrained network, at K steps ahead.

    Attributes:
        steps: (K,) the steps.
        table: (K, 11) quantiles of past changes in units of the network's widths.
        trust: (K,) their weight in the fan's shape.
        regression: (1 + V, K) weights of the regression's log width; empty without a regression.
        regression_table: (K, 11) quantiles of past changes in units of the regression's widths.
        regression_weight: weight of the regression in the forecast.
        profile: variance by hour of the week; None for no business time.
        training_windows: number of windows that the fit rests on.
    """

    steps: tuple[int, ...]
    table: tuple[tuple[float, ...], ...]
    trust: tuple[float, ...]
    regression: tuple[tuple[float, ...], ...] = ()
    regression_table: tuple[tuple[float, ...], ...] = ()
    regression_weight: float = 0.0
    profile: tuple[float, ...] | None = None
    training_windows: int = 0

    def __post_init__(self) -> None:
        """Check the shapes, so that a damaged record is found when it is read."""
        tables = [self.table, self.regression_table] if self.regression_weight else [self.table]
        shape = (len(self.steps), len(LEVELS))
        if any(np.shape(table) != shape for table in tables) or len(self.trust) != len(self.steps):
            raise ValueError("the tables of the fit do not have a row for each step")

    @property
    def clock(self) -> BusinessTime:
        """The business time of the panel."""
        return BusinessTime(None if self.profile is None else np.array(self.profile))

    @classmethod
    def fit(cls, network: Network, windows: Windows, end: np.datetime64) -> Self:
        """Fit to the bars of all series up to `end`; a panel that cannot tell anything adds nothing."""
        clock = BusinessTime.fit(windows, end)
        view = _View.of(network, windows, clock, _origins(windows, end))
        steps = knot_steps(windows.horizon)
        past = _Past.of(view, steps, end)
        table, trust = _quantiles(past.changes / past.network), past.trust
        weights = _regress(past)
        widths = past.regression(weights)
        return cls(
            steps=tuple(int(step) for step in steps),
            table=_rows(table),
            trust=tuple(trust.tolist()),
            regression=_rows(weights),
            regression_table=_rows(_half_symmetric(_quantiles(past.changes / widths))),
            regression_weight=_choose_weight(view, steps, end),
            profile=None if clock.variance is None else tuple(clock.variance.tolist()),
            training_windows=len(view.origins),
        )


@dataclass(frozen=True)
class PretrainedLstm:
    """The pretrained network with a panel's fit, as a forecaster."""

    name = NAME
    network: Network
    fit: PanelFit

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        """(W, horizon, 11) quantiles of the change of level from each origin."""
        view = _View.of(self.network, windows, self.fit.clock, origins)
        steps = np.arange(1, windows.horizon + 1)
        return blend(view, self.fit, steps)


def blend(view: "_View", fit: PanelFit, steps: np.ndarray) -> np.ndarray:
    """(W, K, 11) quantiles of the change of level at `steps` (K,), from the network and a panel's fit."""
    quantiles = np.empty((len(view.origins), len(steps), len(LEVELS)))
    at = _interpolation(np.array(fit.steps), steps)
    table, trust = at @ np.array(fit.table), at @ np.array(fit.trust)
    for rows in view.batches():
        network = view.widths(rows, steps)[..., None] * (
            (1 - trust)[:, None] * view.shapes(rows, steps) + trust[:, None] * table
        )
        if fit.regression_weight:
            widths = _widths(view.regressors[rows], np.array(fit.regression), at.T, steps)
            regression = widths[..., None] * (at @ np.array(fit.regression_table))
            network += fit.regression_weight * (regression - network)
        quantiles[rows] = network * view.stretch(rows, steps)[..., None]
    return quantiles


@dataclass(frozen=True)
class _View:
    """What the network says at W origins of some windows."""

    windows: Windows
    clock: BusinessTime
    origins: np.ndarray
    inputs: Inputs
    numbers: np.ndarray

    @classmethod
    def of(cls, network: Network, windows: Windows, clock: BusinessTime, origins: np.ndarray) -> Self:
        places = np.flatnonzero(windows.run >= 1)
        series = windows.bars.series
        lengths = np.bincount(series[places], minlength=len(windows.bars.ids))
        moves = Moves(clock.changes(windows, places), lengths)
        so_far = np.concatenate([[0], np.cumsum(windows.run >= 1)])
        ages = so_far[origins + 1] - so_far[windows.bars.offsets[series[origins]]]
        inputs = inputs_at(moves, series[origins], ages)
        parts = [network(inputs.contexts(rows), inputs.at_origin[rows]) for rows in _batches(len(origins))]
        numbers = np.concatenate([np.empty((0, fan.CURVES * fan.KNOTS), np.float32), *parts])
        return cls(windows, clock, origins, inputs, numbers)

    def batches(self) -> Iterator[slice]:
        """Slices of the origins, small enough for memory."""
        return _batches(len(self.origins))

    def widths(self, rows: slice, steps: np.ndarray) -> np.ndarray:
        """(B, K) the network's width at each step, in scales."""
        wide: np.ndarray = fan.widths(self.numbers[rows], steps) * np.sqrt(steps)
        return wide

    def shapes(self, rows: slice, steps: np.ndarray) -> np.ndarray:
        """(B, K, 11) the network's quantiles in units of its widths."""
        shapes: np.ndarray = fan.quantiles(self.numbers[rows], steps) / self.widths(rows, steps)[..., None]
        if self.windows.calendar.is_intraday:
            shapes -= (1 - INTRADAY_SHIFT) * shapes[..., MEDIAN : MEDIAN + 1]
        return shapes

    @cached_property
    def regressors(self) -> np.ndarray:
        """(W, 1 + V) inputs of the regression."""
        return np.column_stack([np.ones(len(self.origins)), self.inputs.at_origin[:, _REGRESSORS]])

    def stretch(self, rows: slice, steps: np.ndarray) -> np.ndarray:
        """(B, K) from scales of business time to changes of level."""
        widened: np.ndarray = self.inputs.scale[rows, None] * self.clock.stretch(
            self.windows, self.origins[rows], steps
        )
        return widened

    def take(self, rows: np.ndarray) -> "_View":
        """The view of some of the origins."""
        return _View(self.windows, self.clock, self.origins[rows], self.inputs.take(rows), self.numbers[rows])


def _batches(origins: int) -> Iterator[slice]:
    return (slice(start, start + _BATCH) for start in range(0, origins, _BATCH))


@dataclass(frozen=True)
class _Past:
    """What followed W origins by an end, at K steps ahead; NaN where that is not known.

    Attributes:
        changes: (W, K) changes in scales of business time.
        realised: (W, K) log root mean square of the changes until then, in scales.
        network: (W, K) the network's widths.
        regressors: (W, 1 + V) inputs of the regression.
        trust: (K,) weight of the panel's own quantiles.
        steps: (K,) the steps.
    """

    changes: np.ndarray
    realised: np.ndarray
    network: np.ndarray
    regressors: np.ndarray
    trust: np.ndarray
    steps: np.ndarray

    @classmethod
    def of(cls, view: _View, steps: np.ndarray, end: np.datetime64) -> Self:
        windows, origins = view.windows, view.origins
        squares = _squares_so_far(view)
        scale = np.maximum(view.inputs.scale, np.finfo(float).tiny)
        changes = np.full((len(origins), len(steps)), np.nan)
        realised = changes.copy()
        for column, h in enumerate(steps):
            known = known_after(windows, origins, int(h), end)
            some = origins[known]
            changes[known, column] = windows.level[some + h] - windows.level[some]
            mean = np.sqrt(np.maximum(squares[some + h] - squares[some], 0) / h)
            realised[known, column] = np.log(np.maximum(mean / scale[known], _LEAST_REALISED))
        rows = slice(0, len(origins))
        changes /= np.maximum(view.stretch(rows, steps), np.finfo(float).tiny)
        independent = independent_windows(windows, end) / steps
        trust = SHAPE_WEIGHT * independent / (independent + SHAPE_WINDOWS)
        enough = np.isfinite(changes).sum(axis=0) >= LEAST_CHANGES
        return cls(
            changes, realised, view.widths(rows, steps), view.regressors, np.where(enough, trust, 0.0), steps
        )

    def regression(self, weights: np.ndarray) -> np.ndarray:
        """(W, K) widths of the regression with these weights."""
        return _widths(self.regressors, weights, np.eye(len(self.steps)), self.steps)


def _squares_so_far(view: _View) -> np.ndarray:
    """(N,) sums of each series' squared changes, in business time, up to each bar."""
    windows = view.windows
    moves = np.where(windows.run >= 1, view.clock.changes(windows, np.arange(len(windows.bars))), 0.0)
    squares = moves**2
    # Series by series: a sum that runs through all of them would round by what later bars of others are.
    for start, stop in pairwise(windows.bars.offsets):
        squares[start:stop] = np.cumsum(squares[start:stop])
    return squares


def independent_windows(windows: Windows, end: np.datetime64) -> float:
    """Number of independent one-bar windows up to `end`.

    It is the number of bars of the longest series, times the square root of the number of series: the series
    of a panel move together.
    """
    known = windows.bars.ds <= end
    lengths = np.bincount(windows.bars.series[known], minlength=1)
    return float(lengths.max(initial=0) * np.sqrt((lengths > LEAST_CHANGES).sum()))


def knot_steps(horizon: int) -> np.ndarray:
    """(K,) steps ahead from 1 to `horizon`, evenly spaced in the logarithm, without repeats."""
    return np.unique(np.rint(np.geomspace(1, horizon, KNOTS)).astype(np.int64))


def _origins(windows: Windows, end: np.datetime64) -> np.ndarray:
    """Bars up to `end` with a context, at most `MAX_ORIGINS`, sampled; the same sample every time."""
    origins = np.flatnonzero(windows.has_context & (windows.bars.ds < end))
    if len(origins) <= MAX_ORIGINS:
        return origins
    return np.sort(np.random.default_rng(0).choice(origins, MAX_ORIGINS, replace=False))


def _quantiles(changes: np.ndarray) -> np.ndarray:
    """(K, 11) quantiles of the known changes (W, K) at each step; 0 where there are too few."""
    table = np.zeros((changes.shape[1], len(LEVELS)))
    for column, values in enumerate(changes.T):
        known = values[np.isfinite(values)]
        if len(known) >= LEAST_CHANGES:
            table[column] = np.quantile(known, LEVELS)
    return table


def _half_symmetric(table: np.ndarray) -> np.ndarray:
    """Keep half of the drift and the asymmetry of a table of quantiles (K, 11)."""
    return 0.75 * table - 0.25 * table[:, ::-1]


def _regress(past: _Past) -> np.ndarray:
    """(1 + V, K) weights of the log width, by ridge regression; those of the step before where too few."""
    weights = np.zeros((past.regressors.shape[1], len(past.steps)))
    for column, target in enumerate(past.realised.T):
        known = np.isfinite(target)
        if known.sum() < LEAST_CHANGES:
            weights[:, column] = weights[:, column - 1] if column else 0.0
            continue
        inputs = past.regressors[known]
        penalty = _RIDGE * known.sum() * np.eye(inputs.shape[1])
        penalty[0, 0] = 0
        weights[:, column] = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ target[known])
    return weights


def _widths(regressors: np.ndarray, weights: np.ndarray, at: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """(B, H) widths of a regression at `steps` (H,); `at` (K, H) interpolates its K steps."""
    stretch = np.clip(regressors @ weights @ at, -_WIDTH_LIMIT, _WIDTH_LIMIT)
    widths: np.ndarray = np.exp(stretch) * np.sqrt(steps)
    return widths


def _choose_weight(view: _View, steps: np.ndarray, end: np.datetime64) -> float:
    """The weight of the regression with the smallest loss on later windows, shrunk towards 0.

    Regression and tables are fitted on the earlier windows, whose targets end before the later ones begin.
    """
    ds = view.windows.bars.ds[view.origins]
    if not len(ds):
        return 0.0
    place = int(len(ds) * (1 - LATER_SHARE))
    begin = np.partition(ds, place)[place]
    earlier, later = view.take(np.flatnonzero(ds < begin)), view.take(np.flatnonzero(ds >= begin))
    if not len(earlier.origins) or not len(later.origins):
        return 0.0
    past, then = _Past.of(earlier, steps, begin), _Past.of(later, steps, end)
    weights = _regress(past)
    trust = past.trust[:, None]
    shapes = (1 - trust) * later.shapes(slice(0, len(later.origins)), steps)
    network = then.network[..., None] * (shapes + trust * _quantiles(past.changes / past.network))
    table = _half_symmetric(_quantiles(past.changes / past.regression(weights)))
    regression = then.regression(weights)[..., None] * table
    losses = [_loss(network + weight * (regression - network), then) for weight in _WEIGHTS]
    independent = independent_windows(view.windows, end) * LATER_SHARE / view.windows.horizon
    return float(_WEIGHTS[int(np.argmin(losses))] * independent / (independent + REGRESSION_WINDOWS))


def _loss(quantiles: np.ndarray, then: _Past) -> float:
    """Mean pinball loss in units of the network's widths: a window's weight depends on its inputs alone."""
    error = then.changes[..., None] - quantiles
    pinball = np.maximum(LEVELS * error, (LEVELS - 1) * error).mean(axis=-1) / then.network
    return float(np.nanmean(pinball)) if np.isfinite(pinball).any() else 0.0


def _interpolation(knots: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """(H, K) weights that interpolate linearly in the logarithm of the step; constant beyond the knots."""
    return np.column_stack([np.interp(np.log(steps), np.log(knots), unit) for unit in np.eye(len(knots))])


def _rows(table: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in table.tolist())
