"""The fan: how a network's few numbers become quantiles of the change at every step ahead, never crossing.

A network says four curves over the horizon, each by its values at seven steps ahead, evenly spaced in their
logarithms: how wide the fan is, how heavy its tails are, where its middle lies, and how much larger rises are
    than
falls. Zeros give a random walk as wide as the volatility of late, with tails heavier than a normal
distribution's.
"""

from statistics import NormalDist
from typing import Any

import numpy as np

from forecasting.quantiles import LEVELS

CURVES = 4
KNOTS = 7
# The furthest step ahead. Knots lie between 1 and it whatever a panel's horizon is, so one network serves all
# horizons.
LONGEST_HORIZON = 250
# No step's fan is wider or narrower than the scale's own by more than exp(this).
_WIDTH_LIMIT = 3.0
# The tails of a fan of zeros, and their limits, as logarithms: from normal to much heavier than any market's.
_TAILS_START, _TAILS_LEAST, _TAILS_MOST = -1.0, -4.0, 1.0
# Middles are said in such shares of the width: directions are faint, and a network learns them more slowly
# so.
_MIDDLE_UNIT = 0.3
# The logarithm of rises is never further from that of falls than twice this.
_SKEW_LIMIT = 0.8

_NORMAL = np.array([NormalDist().inv_cdf(level) for level in LEVELS], dtype=np.float32)


def interpolation(steps: np.ndarray) -> np.ndarray:
    """(7, H) float32 weights that turn values at the knots into values at these (H,) steps ahead."""
    place = np.log(steps) / np.log(LONGEST_HORIZON) * (KNOTS - 1)
    hats = 1 - np.abs(place - np.arange(KNOTS)[:, None])
    return np.maximum(hats, 0).astype(np.float32)


def widths(numbers: Any, steps: np.ndarray, math: Any = np) -> Any:
    """(B, H) how wide each step's fan is, in scales per square root of a bar; arguments as in `quantiles`."""
    return math.exp(math.clip(numbers[:, :KNOTS], -_WIDTH_LIMIT, _WIDTH_LIMIT) @ interpolation(steps))


def quantiles(numbers: Any, steps: np.ndarray, math: Any = np) -> Any:
    """(B, H, 11) quantiles of the change, in scales, non-decreasing along the last axis.

    Args:
        numbers: (B, 28) float32; what a network says.
        steps: (H,) steps ahead.
        math: numpy for arrays, or `keras.ops` for tensors.
    """
    weights = interpolation(steps)
    tails, middle, skew = (numbers[:, KNOTS * i : KNOTS * (i + 1)] @ weights for i in range(1, CURVES))
    tails = math.exp(math.clip(tails + _TAILS_START, _TAILS_LEAST, _TAILS_MOST))[..., None]
    skew = _SKEW_LIMIT * math.tanh(skew)[..., None]
    shape = math.sinh(tails * _NORMAL) / tails * math.exp(np.sign(_NORMAL) * skew)
    walk = np.sqrt(steps).astype(np.float32)
    return (shape + _MIDDLE_UNIT * middle[..., None]) * (widths(numbers, steps, math) * walk)[..., None]
