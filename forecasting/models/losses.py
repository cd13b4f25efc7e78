"""Training losses, which define what the outputs of a network mean.

The pinball loss scores every quantile, so the outputs are a distribution. The other losses score one number:
the mean absolute error estimates the median, and Huber's loss a value between the median and the mean. All
are in units of the window's scale, and those for one number are of similar size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecasting.models.backend import tf
from forecasting.quantiles import LEVELS, MEDIAN

# Where Huber's loss changes from squared to absolute errors, in scales times the square root of the step.
# With Huber's own value, the loss is 5% less efficient than the mean for normal errors ("Robust Statistics",
# 1981).
HUBER_TURN = 1.345


@dataclass(frozen=True)
class Loss:
    """A loss, and which of the quantiles it scores.

    Attributes:
        of: takes targets (B, horizon) and quantiles (B, horizon, 11), both in scales, and weights (B,).
            Returns a scalar, the weighted mean over windows and steps.
        of_point: whether the loss scores only the median. The network then learns to move the median, and
            does not learn a width.
    """

    of: Callable[[Any, Any, Any], Any]
    of_point: bool


def pinball(targets: Any, quantiles: Any, weights: Any) -> Any:
    """Return 2 x pinball loss, averaged over quantiles. The true quantiles minimise it."""
    error = targets[..., None] - quantiles
    levels = LEVELS.astype(np.float32)
    losses = 2 * tf.maximum(levels * error, (levels - 1) * error)
    return tf.reduce_mean(losses * weights[:, None, None])


def mae(targets: Any, quantiles: Any, weights: Any) -> Any:
    """Return the absolute error of the point forecast. The median minimises it."""
    return tf.reduce_mean(tf.abs(targets - quantiles[..., MEDIAN]) * weights[:, None])


def huber(targets: Any, quantiles: Any, weights: Any) -> Any:
    """Return Huber's loss of the point forecast. A value between the median and the mean minimises it.

    The turning point grows with the square root of the step, as the changes of a random walk do, so that the
    loss means the same at every step. The loss is divided by the turning point: for large errors it is the
    absolute error less half the turning point.
    """
    turn = HUBER_TURN * np.sqrt(np.arange(1, targets.shape[1] + 1, dtype=np.float32))
    error = tf.abs(targets - quantiles[..., MEDIAN])
    near = tf.minimum(error, turn)
    losses = near * (error - near / 2) / turn
    return tf.reduce_mean(losses * weights[:, None])


# By the value of `model.loss` in the panel file.
LOSSES = {
    "pinball": Loss(pinball, of_point=False),
    "mae": Loss(mae, of_point=True),
    "huber": Loss(huber, of_point=True),
}
