"""Losses: what a network is trained to get right, and so what its outputs mean.

The pinball loss asks for every quantile, so the network's outputs are a distribution. The others ask for one
number: the mean absolute error for the median of what may come, Huber's loss for something between the median
and the mean. All are of one unit, scales of the window, and of one size where only the point counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecasting.models.backend import tf
from forecasting.quantiles import LEVELS, MEDIAN

# Where Huber's loss turns from squares to absolute values, in scales times the square root of the step: his
# own choice, which loses 5% to the mean where errors are normal (Huber, "Robust Statistics", 1981).
HUBER_TURN = 1.345


@dataclass(frozen=True)
class Loss:
    """A loss, and which part of a fan of quantiles it is about.

    Attributes:
        of: a scalar, the weighted mean over windows and steps; of targets (B, horizon), quantiles (B,
            horizon, 11), both in scales, and weights (B,).
        of_point: whether only the median counts, which the network then moves, and no width is learnt.
    """

    of: Callable[[Any, Any, Any], Any]
    of_point: bool


def pinball(targets: Any, quantiles: Any, weights: Any) -> Any:
    """2 x pinball loss, the mean over quantiles; least where each is the quantile of its level."""
    error = targets[..., None] - quantiles
    levels = LEVELS.astype(np.float32)
    losses = 2 * tf.maximum(levels * error, (levels - 1) * error)
    return tf.reduce_mean(losses * weights[:, None, None])


def mae(targets: Any, quantiles: Any, weights: Any) -> Any:
    """Absolute error of the point; least where that is the median."""
    return tf.reduce_mean(tf.abs(targets - quantiles[..., MEDIAN]) * weights[:, None])


def huber(targets: Any, quantiles: Any, weights: Any) -> Any:
    """Huber's loss of the point, over its turn; least somewhere between the median and the mean.

    With the turn growing as a walk does, it means the same at every step; over the turn, it is the absolute
    error less half a turn where that is large.
    """
    turn = HUBER_TURN * np.sqrt(np.arange(1, targets.shape[1] + 1, dtype=np.float32))
    error = tf.abs(targets - quantiles[..., MEDIAN])
    near = tf.minimum(error, turn)
    losses = near * (error - near / 2) / turn
    return tf.reduce_mean(losses * weights[:, None])


# By the name that a panel gives.
LOSSES = {
    "pinball": Loss(pinball, of_point=False),
    "mae": Loss(mae, of_point=True),
    "huber": Loss(huber, of_point=True),
}
