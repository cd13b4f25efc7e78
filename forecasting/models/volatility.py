"""Volatility regression: the initial width of a network's quantiles, from volatilities over several spans.

Follows Corsi, "A simple approximate long-memory model of realized volatility" (2009), in logarithms and
fitted by least squares. Short-term volatility fades and long-term volatility stays; the weights for each step
ahead say how fast the first gives way to the second.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from forecasting.models.baselines import known_after, pooled_origins, pooled_table
from forecasting.models.windows import LOG_SCALE, VOLATILITIES, Windows

# The weights are fitted at this many steps ahead, evenly spaced in the logarithm, and interpolated between
# them.
KNOTS = 8
# Lower limit of realised volatility, as a share of the root mean square change so far: a constant price has a
# volatility of 0, which has no logarithm.
LEAST_REALISED = 0.05
# Ridge penalty of the weights per window: just enough to give equal weights to equal volatilities.
RIDGE = 1e-3
# The initial width of a step is at most exp(LIMIT) = 4.5 times wider or narrower than the scale.
LIMIT = 1.5


@dataclass(frozen=True)
class VolatilityRegression:
    """A random walk whose width at each step follows volatilities over several spans.

    Attributes:
        weights: (1 + V, KNOTS) float64; an intercept, and the weights of the log ratios of the `V` other
            volatilities to the scale.
        table: (horizon, 11) float64; quantiles of changes divided by that width; 0 at the median.
    """

    weights: np.ndarray
    table: np.ndarray

    @classmethod
    def fit(cls, windows: Windows, end: np.datetime64) -> Self:
        """Fit to the bars of all series up to `end`, as the EWMA walk does.

        Raises:
            ModelError: no price changes before `end`.
        """
        origins = pooled_origins(windows, end)
        inputs = _inputs(windows, origins)
        weights = np.zeros((inputs.shape[1], KNOTS))
        for knot, h in enumerate(knot_steps(windows.horizon)):
            known = known_after(windows, origins, h, end)
            if known.any():
                weights[:, knot] = _regress(inputs[known], _realised(windows, origins[known], h))
            else:  # the history is too short for this step: use the weights of the step before
                weights[:, knot] = weights[:, knot - 1]
        return cls(weights, pooled_table(windows, origins, end, _widths(inputs, weights, windows.horizon)))

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        """(W, horizon, 11) quantiles of the change of level; origins may have a short context."""
        widths = _widths(_inputs(windows, origins), self.weights, windows.horizon)
        quantiles: np.ndarray = (windows.scale[origins, None] * widths)[..., None] * self.table
        return quantiles


def _widths(inputs: np.ndarray, weights: np.ndarray, horizon: int) -> np.ndarray:
    """(W, horizon) width of the quantiles at each step, in scales at the origin."""
    stretch = np.clip(inputs @ weights @ interpolation(horizon, KNOTS), -LIMIT, LIMIT)
    widths: np.ndarray = np.exp(stretch)
    return widths


def knot_steps(horizon: int) -> np.ndarray:
    """(KNOTS,) the steps ahead at which weights are fitted, from 1 to `horizon`; some may be equal."""
    return np.rint(np.geomspace(1, horizon, KNOTS)).astype(np.int64)


def interpolation(horizon: int, knots: int) -> np.ndarray:
    """(knots, horizon) weights that interpolate linearly in the logarithm of the step."""
    place = np.log(np.arange(1, horizon + 1)) / max(np.log(horizon), 1.0) * (knots - 1)
    hats = 1 - np.abs(place - np.arange(knots)[:, None])
    return np.maximum(hats, 0)


def _inputs(windows: Windows, origins: np.ndarray) -> np.ndarray:
    """(W, 1 + V) a column of ones, and the log ratios of the other volatilities to the scale."""
    logs = windows.features[origins, LOG_SCALE : LOG_SCALE + VOLATILITIES].astype(np.float64)
    return np.concatenate([np.ones((len(origins), 1)), logs[:, 1:] - logs[:, :1]], axis=1)


def _regress(inputs: np.ndarray, realised: np.ndarray) -> np.ndarray:
    """(1 + V,) least-squares weights; the ridge penalty applies to all but the intercept."""
    ridge = RIDGE * len(inputs) * np.diag([0.0, *np.ones(inputs.shape[1] - 1)])
    weights: np.ndarray = np.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ realised)
    return weights


def _realised(windows: Windows, origins: np.ndarray, h: int) -> np.ndarray:
    """(W,) log ratio of the volatility of the `h` bars after each origin to the scale at the origin.

    These bars must not contain a long gap.
    """
    level = windows.level
    squares = sum((level[origins + ahead] - level[origins + ahead - 1]) ** 2 for ahead in range(1, h + 1))
    realised = np.sqrt(squares / h)
    so_far = np.exp(windows.features[origins, LOG_SCALE + VOLATILITIES - 1].astype(np.float64))
    logs: np.ndarray = np.log(np.maximum(realised, LEAST_REALISED * so_far) / windows.scale[origins])
    return logs
