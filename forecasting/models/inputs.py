"""Inputs of the default network: the last 120 changes of a series, and statistics of its whole past.

Inputs at a bar use only one-bar changes up to and including that bar, and have no units: changes are divided
by the *scale*, the recent volatility. Simulated and real series, daily and intraday bars go through the same
code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from forecasting.models.lanes import Lanes

# The first LSTM layer reads the last 120 changes in patches of five: a fifth of the steps, and of the time.
CONTEXT = 120
PATCH = 5
# Half-lives, in bars, of the volatilities among the inputs: for daily bars a week, a month, a quarter, a
# year, four years, and longer.
HALF_LIVES = (5, 20, 60, 250, 1000, 5000)
# The scale is the volatility with this half-life, but at least a tenth of the one with the longest: during a
# currency peg the former decays to nothing, and the first move after it would be thousands of scales.
SCALE_HALF_LIFE = 20
_SCALE_FLOOR = 0.1
# Half-life of statistics that describe the series' law rather than its present state.
_LAW_HALF_LIFE = 500
# Changes are clipped at this many scales: beyond, a size only means "a jump".
_CHANGE_LIMIT = 8.0
_AGE_LIMIT = 5000
# Changes processed at once; bounds memory.
_GROUP = 2**20

# Stands in for zero where a logarithm or a division needs it. Its square is still a normal float32.
_NOTHING = 1e-15


class Moves(NamedTuple):
    """The one-bar changes of S series, series by series.

    Bars without a change (the first of a series, and the first after a long gap) are left out.

    Attributes:
        changes: (M,) float32 or float64; of the logarithm of the price, or of the price.
        lengths: (S,) int64; how many each series has.
    """

    changes: np.ndarray
    lengths: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """(S,) int64; where each series begins."""
        starts: np.ndarray = np.cumsum(self.lengths) - self.lengths
        return starts


@dataclass(frozen=True)
class Inputs:
    """Inputs at W origins.

    Attributes:
        scale: (W,) float64; recent volatility at each origin, in the unit of the changes; 0 until the series
            first moves.
        at_origin: (W, F) float32; statistics of the past, in the order of `NAMES`.
    """

    scale: np.ndarray
    at_origin: np.ndarray
    _changes: np.ndarray
    _origins: np.ndarray
    _ages: np.ndarray

    def take(self, rows: np.ndarray) -> "Inputs":
        """Return the inputs at some of the origins."""
        some = (values[rows] for values in (self.scale, self.at_origin, self._origins, self._ages))
        scale, at_origin, origins, ages = some
        return Inputs(scale, at_origin, self._changes, origins, ages)

    def contexts(self, rows: slice | np.ndarray, context: int = CONTEXT) -> np.ndarray:
        """(B, context // 5, 10) float32; the last changes before the origins `rows`, in patches of five.

        Each change has two values: itself in scales, and the logarithm of its size. Both are 0 where the
        history is shorter than the context. A context that is not a multiple of five drops its oldest
        changes.
        """
        patches = context // PATCH
        back = np.arange(1 - PATCH * patches, 1)
        known = -back < self._ages[rows, None]
        place = np.where(known, self._origins[rows, None] + back, 0)
        changes = self._changes[place] / np.maximum(self.scale[rows, None], _NOTHING)
        changes = np.clip(changes, -_CHANGE_LIMIT, _CHANGE_LIMIT)
        steps = np.stack([changes, np.log(np.abs(changes) + 0.05)], axis=2) * known[..., None]
        return steps.reshape(len(steps), patches, 2 * PATCH).astype(np.float32)


def inputs_at(moves: Moves, series: np.ndarray, ages: np.ndarray) -> Inputs:
    """Compute the inputs at W origins.

    Args:
        moves: the changes of all series.
        series: (W,) int64; the series of each origin.
        ages: (W,) int64; number of changes of that series up to and including the origin, at least 1.

    Example:
        >>> moves = Moves(np.array([0.01, -0.02, 0.01]), np.array([3]))
        >>> inputs_at(moves, np.array([0]), np.array([3])).contexts(slice(None)).shape
        (1, 24, 10)
    """
    scale = np.empty(len(ages))
    at_origin = np.empty((len(ages), len(NAMES)), np.float32)
    for first, last in _groups(moves.lengths):
        rows = np.flatnonzero((series >= first) & (series < last))
        if not len(rows):
            continue
        start = moves.starts[first]
        lengths = moves.lengths[first:last]
        past = _Past(moves.changes[start : start + lengths.sum()], lengths)
        place = past.lanes.place(ages[rows] - 1, series[rows] - first)
        scale[rows] = np.where(past.squares_so_far[place] > 0, past.scale[place], 0)
        for column, values in enumerate(_columns(past)):
            at_origin[rows, column] = values[place]
    return Inputs(scale, at_origin, moves.changes, moves.starts[series] + ages - 1, ages)


def _groups(lengths: np.ndarray) -> Iterator[tuple[int, int]]:
    """Split the series into ranges of about `_GROUP` changes."""
    group = (np.cumsum(lengths) - 1) // _GROUP
    return pairwise([0, *(np.flatnonzero(np.diff(group)) + 1), len(lengths)])


class _Past:
    """Running statistics of some series at every change, in lanes."""

    def __init__(self, changes: np.ndarray, lengths: np.ndarray) -> None:
        self.lanes = Lanes(lengths)
        self.changes = self.lanes.lay(changes)
        self.sizes = np.abs(self.changes)
        self.age = self.lanes.age.astype(changes.dtype)
        self.path = self.lanes.decayed_sum(self.changes, 1.0)
        self.squares_so_far = self.lanes.decayed_sum(self.changes**2, 1.0)
        self.volatilities = {
            half_life: np.sqrt(self.lanes.mean(self.changes**2, half_life)) for half_life in HALF_LIVES
        }
        floor = _SCALE_FLOOR * self.volatilities[HALF_LIVES[-1]]
        self.scale = np.maximum(np.maximum(self.volatilities[SCALE_HALF_LIFE], floor), _NOTHING)
        self.logs = {
            half_life: np.log(np.maximum(volatility, _SCALE_FLOOR * self.scale))
            for half_life, volatility in self.volatilities.items()
        }

    def mean(self, values: np.ndarray, half_life: float) -> np.ndarray:
        return self.lanes.mean(values, half_life)

    def law(self, values: np.ndarray, prior: float) -> np.ndarray:
        """Mean with a long half-life, shrunk towards 0 as if by `prior` more zeros."""
        return self.mean(values, _LAW_HALF_LIFE) * (self.age / (self.age + prior))

    @cached_property
    def log_scale(self) -> np.ndarray:
        return np.log(self.scale)

    @cached_property
    def shocks(self) -> np.ndarray:
        """Each change in units of the previous bar's scale, clipped."""
        before = self.lanes.shift(self.scale, 1)
        shocks = np.clip(self.changes / np.maximum(before, _NOTHING), -6, 6)
        shocks[self.age <= 1] = 0
        return shocks


def _volatilities(past: _Past) -> Iterator[np.ndarray]:
    """Logarithms of the ratios of volatilities to the scale."""
    for half_life in HALF_LIVES:
        yield past.logs[half_life] - past.log_scale


def _variance_ratios(past: _Past) -> Iterator[np.ndarray]:
    """Log ratios of the volatility of changes over several bars to that of a random walk.

    After Lo and MacKinlay, "Stock market prices do not follow random walks" (1988).
    """
    one = past.mean(past.changes**2, _LAW_HALF_LIFE)
    for bars in _SPANS:
        several = past.mean((past.path - past.lanes.shift(past.path, bars)) ** 2 / bars, _LAW_HALF_LIFE)
        ratio = np.log(np.maximum(several, _NOTHING**2) / np.maximum(one, _NOTHING**2)) / 2
        trust = np.where(past.age < 6 * bars, 0, past.age / (past.age + _LAW_HALF_LIFE))
        yield np.clip(ratio, -1.5, 1) * trust


def _tails(past: _Past) -> Iterator[np.ndarray]:
    """Log ratio of the mean absolute change to the volatility: low if few large changes dominate."""
    for half_life in _MEMORIES:
        ratio = past.mean(past.sizes, half_life) / np.maximum(past.volatilities[half_life], _NOTHING)
        yield np.clip(np.log(np.maximum(ratio, _NOTHING)), -2, 0) + 0.3


def _directions(past: _Past) -> Iterator[np.ndarray]:
    """Mean changes in scales, divided by their standard deviation in a random walk: the trend."""
    changes = np.clip(past.changes / past.scale, -_CHANGE_LIMIT, _CHANGE_LIMIT)
    for half_life in HALF_LIVES[:-1]:
        yield np.clip(past.mean(changes, half_life) * np.sqrt(half_life), -4, 4)


def _skills(past: _Past) -> Iterator[np.ndarray]:
    """How well each volatility predicted the changes one and twenty bars later, compared with the scale's.

    The score is the negative log density of a normal distribution, with its argument clipped. The best
    half-life tells how long the series' volatility remembers.
    """
    for ahead in _AHEAD:
        costs = {}
        for half_life, log in past.logs.items():
            before = past.lanes.shift(log, ahead)
            cost = before + np.minimum(past.changes**2 * np.exp(-2 * before), 25) / 2
            cost[past.age <= ahead] = 0
            costs[half_life] = cost
        for half_life in HALF_LIVES:
            if half_life != SCALE_HALF_LIFE:
                yield np.clip(5 * past.law(costs[half_life] - costs[SCALE_HALF_LIFE], 100), -2, 2)


def _asymmetries(past: _Past) -> Iterator[np.ndarray]:
    """Leverage: whether falls, of one bar or of a week, are followed by larger changes than rises."""
    shocks = past.shocks
    surprise = np.abs(shocks) - 0.8
    yield 3 * past.law(past.lanes.shift(shocks, 1) * surprise, _LAW_HALF_LIFE)
    yield 6 * past.law(past.lanes.shift(past.mean(shocks, 5), 1) * surprise, _LAW_HALF_LIFE)


def _stillness(past: _Past) -> Iterator[np.ndarray]:
    """Length of the history, and the share of bars without a change."""
    yield np.log((np.minimum(past.age, _AGE_LIMIT) + 100) / 1500)
    still = past.mean((past.changes == 0).astype(past.changes.dtype), 60)
    yield np.clip(np.log(still + 0.02) + 3.5, -1, 4)


_SPANS = (5, 20, 72)
_MEMORIES = (20, 60, 250)
_AHEAD = (1, 20)
_OTHERS = tuple(half_life for half_life in HALF_LIVES if half_life != SCALE_HALF_LIFE)

# Names of the columns of `Inputs.at_origin`.
NAMES = (
    *(f"volatility_{half_life}" for half_life in HALF_LIVES),
    *(f"variance_ratio_{bars}" for bars in _SPANS),
    *(f"tails_{half_life}" for half_life in _MEMORIES),
    *(f"direction_{half_life}" for half_life in HALF_LIVES[:-1]),
    *(f"skill_{ahead}_{half_life}" for ahead in _AHEAD for half_life in _OTHERS),
    *("leverage_1", "leverage_5", "age", "still"),
)


def _columns(past: _Past) -> Iterator[np.ndarray]:
    for group in (
        _volatilities,
        _variance_ratios,
        _tails,
        _directions,
        _skills,
        _asymmetries,
        _stillness,
    ):
        yield from group(past)
