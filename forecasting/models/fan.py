"""The fan: maps the network's 28 output numbers to quantiles of the change at every step ahead.

The numbers are four curves over the horizon, each given at seven knots evenly spaced in the logarithm of the
step
and interpolated linearly between them: log width, tail weight, shift of the centre, and asymmetry. All zeros
    give
a random walk whose width is the recent volatility. Quantiles cannot cross, whatever the numbers are.
"""

from statistics import NormalDist
from typing import Any

import numpy as np

from forecasting.quantiles import LEVELS

CURVES = 4
KNOTS = 7
# The longest horizon. The knots do not depend on a panel's horizon, so one network serves all horizons.
LONGEST_HORIZON = 250
# Limit of the log width, relative to the scale.
_WIDTH_LIMIT = 3.0
# Tail weight, as a logarithm, when the network outputs zero; and its limits: near normal, and heavier than
# any market's.
_TAILS_START, _TAILS_LEAST, _TAILS_MOST = -1.0, -4.0, 1.0
# One unit of shift is this share of the width: real drifts are small, and a small unit slows their learning.
_SHIFT_UNIT = 0.3
# Limit of the asymmetry: half of the log ratio of the upper to the lower side.
_SKEW_LIMIT = 0.8

_NORMAL = np.array([NormalDist().inv_cdf(level) for level in LEVELS], dtype=np.float32)


def interpolation(steps: np.ndarray) -> np.ndarray:
    """(7, H) float32 weights that interpolate values at the knots to the steps ahead `steps` (H,)."""
    place = np.log(steps) / np.log(LONGEST_HORIZON) * (KNOTS - 1)
    hats = 1 - np.abs(place - np.arange(KNOTS)[:, None])
    return np.maximum(hats, 0).astype(np.float32)


def widths(numbers: Any, steps: np.ndarray, math: Any = np) -> Any:
    """(B, H) width of the fan at each step, in scales times the square root of the step; see `quantiles`."""
    return math.exp(math.clip(numbers[:, :KNOTS], -_WIDTH_LIMIT, _WIDTH_LIMIT) @ interpolation(steps))


def quantiles(numbers: Any, steps: np.ndarray, math: Any = np) -> Any:
    """(B, H, 11) quantiles of the change, in scales, non-decreasing along the last axis.

    Args:
        numbers: (B, 28) float32; the network's outputs.
        steps: (H,) steps ahead.
        math: numpy for arrays, `keras.ops` for tensors.
    """
    weights = interpolation(steps)
    tails, shift, skew = (numbers[:, KNOTS * i : KNOTS * (i + 1)] @ weights for i in range(1, CURVES))
    tails = math.exp(math.clip(tails + _TAILS_START, _TAILS_LEAST, _TAILS_MOST))[..., None]
    skew = _SKEW_LIMIT * math.tanh(skew)[..., None]
    shape = math.sinh(tails * _NORMAL) / tails * math.exp(np.sign(_NORMAL) * skew)
    walk = np.sqrt(steps).astype(np.float32)
    return (shape + _SHIFT_UNIT * shift[..., None]) * (widths(numbers, steps, math) * walk)[..., None]
