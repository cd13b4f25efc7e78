"""The odds that a price ends beyond a level, computed from the eleven published quantiles alone."""

import math
from decimal import Decimal
from statistics import NormalDist

import numpy as np

from forecasting.quantiles import LEVELS

_SCORES = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
_MINUS = "\N{MINUS SIGN}"


def odds_below(quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return the probability that a value ends at or below each level.

    Between two quantiles, the normal score of the distribution function is linear in the value, which is
    exact for a normal distribution. Beyond `q05` and `q95` the tails are exponential: the odds halve with
    each further distance between `q05` and `q10`, or between `q90` and `q95`. Odds at the quantiles are exact
    for any distribution. Equal quantiles are a point that has all their probability.

    Args:
        quantiles: (S, 11), non-decreasing in the last axis.
        levels: (L,), the same for all S, in the same units.

    Returns:
        (S, L), in [0, 1], non-decreasing in the level.

    Example:
        >>> normal = np.array([[NormalDist().inv_cdf(level) for level in LEVELS]])
        >>> odds_below(normal, np.array([-1.0, 0.0, 1.0])).round(4).tolist()
        [[0.1587, 0.5, 0.8413]]
    """
    at = np.broadcast_to(levels, (len(quantiles), len(levels)))
    reached = (quantiles[:, None, :] <= at[..., None]).sum(axis=-1)
    odds = np.where(
        reached == 0, _tail(quantiles[:, :1] - at, quantiles[:, :2]), _inside(quantiles, at, reached)
    )
    return np.where(reached == len(LEVELS), 1 - _tail(at - quantiles[:, -1:], quantiles[:, -2:]), odds)


def _tail(beyond: np.ndarray, outermost: np.ndarray) -> np.ndarray:
    """(S, L) odds of values so far beyond the outermost of two quantiles (S, 2)."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        halvings = np.maximum(beyond, 0) / np.abs(np.diff(outermost))  # abs: -0.0 is 0.0
    # 0 / 0: no tail lies beyond a pair of equal quantiles.
    tail: np.ndarray = LEVELS[0] * 0.5 ** np.where(np.isnan(halvings), np.inf, halvings)
    return tail


def _inside(quantiles: np.ndarray, at: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """(S, L) odds between the quantiles `reached - 1` and `reached`; meaningless outside all of them."""
    left = np.clip(reached - 1, 0, len(LEVELS) - 2)
    low, high = (np.take_along_axis(quantiles, number, axis=1) for number in (left, left + 1))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share = np.nan_to_num((at - low) / (high - low))
    # Rounding must not carry the score past that of the next quantile.
    scores = _SCORES[left] + np.clip(share, 0, 1) * (_SCORES[left + 1] - _SCORES[left])
    inside: np.ndarray = _normal_distribution(scores)
    return inside


def odds_columns(odds: tuple[float, ...], *, relative: bool) -> list[str]:
    """Return the names of the odds' columns, from the lowest level to the highest.

    `odds` increase. They are shares of the last price if `relative`, and else in price units.

    >>> odds_columns((0.01, 0.025), relative=True)
    ['below_2_5pct', 'below_1pct', 'above_1pct', 'above_2_5pct']
    >>> odds_columns((0.5, 2.0), relative=False)
    ['below_2', 'below_0_5', 'above_0_5', 'above_2']
    """
    names = [_size_name(size, relative=relative) for size in odds]
    return [*(f"below_{name}" for name in reversed(names)), *(f"above_{name}" for name in names)]


def odds_heading(column: str) -> str:
    """Return the heading of an odds' column, for people.

    >>> odds_heading("above_2_5pct")
    '> +2.5%'
    """
    side, size = column.split("_", 1)
    size = size.replace("_", ".").replace("pct", "%")
    return f"< {_MINUS}{size}" if side == "below" else f"> +{size}"


def _size_name(size: float, *, relative: bool) -> str:
    # Decimal: 0.07 * 100 is not 7 in floating point.
    number = (Decimal(repr(size)) * (100 if relative else 1)).normalize()
    return f"{number:f}".replace(".", "_") + ("pct" if relative else "")


_normal_distribution = np.vectorize(lambda score: 0.5 * math.erfc(-score / math.sqrt(2)), otypes=[float])
