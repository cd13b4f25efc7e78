"""The stacked LSTM: one network for all series, eleven quantiles for every step ahead, never crossing.

It begins exactly at the EWMA walk, a table of pooled quantiles times each window's own volatility, and learns
how far to stretch each side of that fan, and to move it, at each step ahead. All corrections are bounded and
smooth in the step, so that even a bad network stays near a good forecast.
"""

from typing import Any

import numpy as np

from forecasting.models.backend import keras, tf
from forecasting.models.baselines import EwmaWalk
from forecasting.models.fitting import Fit, Recipe, Split, fit, forward
from forecasting.panel import Panel
from forecasting.progress import Progress
from forecasting.quantiles import LEVELS, MEDIAN
from forecasting.windows import Windows

NAME = "stacked_lstm"
# Bars that enter the first layer together: a fifth of the steps, and of the time, for the same context.
PATCH = 5
# Steps ahead are few numbers apart on a log scale; corrections are set at this many and interpolated.
KNOTS = 4
# Neither side of the fan is ever stretched or shrunk by more than exp(this).
STRETCH_LIMIT = 0.8
# Nor is its middle ever moved by more than this share of its half width.
SHIFT_LIMIT = 0.5

STEPS_PER_EPOCH = 100
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-3


@keras.saving.register_keras_serializable("nightcast")
class QuantileFan(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Turns 3 x `KNOTS` numbers into quantiles of the change at each step ahead, in scales.

    The numbers say, at knots evenly spaced in the logarithm of the step, how to stretch the lower and the
    upper side of a table of quantiles, and where to move its middle. Zeros give the table itself. Stretching
    a side by a positive factor, and moving all, keeps the quantiles in order.
    """

    def __init__(self, horizon: int, **layer: Any) -> None:
        super().__init__(**layer)
        self.horizon = horizon

    def build(self, _: tuple[int, ...]) -> None:
        """Make the table, to be set once, and saved with the weights."""
        shape = (self.horizon, len(LEVELS))
        self.table = self.add_weight(shape=shape, name="table", trainable=False, initializer="zeros")

    def call(self, numbers: Any) -> Any:
        """(B, 3 x `KNOTS`) -> (B, horizon, 11)."""
        knots = tf.reshape(tf.tanh(numbers), (-1, 3, KNOTS))
        stretch_low, stretch_high, shift = tf.unstack(knots @ _interpolation(self.horizon), axis=1)
        low, middle, high = tf.split(self.table, [MEDIAN, 1, len(LEVELS) - MEDIAN - 1], axis=1)
        half_width = (high[:, -1] - low[:, 0]) / 2
        fan = tf.concat(
            [
                low * tf.exp(STRETCH_LIMIT * stretch_low)[..., None],
                tf.broadcast_to(middle, (tf.shape(numbers)[0], self.horizon, 1)),
                high * tf.exp(STRETCH_LIMIT * stretch_high)[..., None],
            ],
            axis=2,
        )
        return fan + (SHIFT_LIMIT * shift * half_width)[..., None]

    def get_config(self) -> dict[str, Any]:
        """What the constructor needs."""
        return {**super().get_config(), "horizon": self.horizon}


class StackedLstm:
    """The trained network as a forecaster."""

    name = NAME

    def __init__(self, network: Any) -> None:
        self._network = network

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        """(W, horizon, 11) quantiles of the change of level from each origin."""
        fan = forward(self._network, windows.contexts, origins)
        return windows.scale[origins, None, None] * fan


def build_network(context: int, features: int, units: tuple[int, ...], horizon: int) -> Any:
    """A network from (B, context, features) to (B, horizon, 11), in scales; its corrections are all zero."""
    inputs = keras.Input((context, features))
    patches = context // PATCH
    steps = keras.layers.Cropping1D((context - patches * PATCH, 0))(inputs)
    steps = keras.layers.Reshape((patches, PATCH * features))(steps)
    for layer, count in enumerate(units):
        steps = keras.layers.LSTM(count, return_sequences=layer + 1 < len(units))(steps)
    numbers = keras.layers.Dense(3 * KNOTS, kernel_initializer="zeros")(steps)
    return keras.Model(inputs, QuantileFan(horizon, name="fan")(numbers), name=NAME)


def train(
    windows: Windows, end: np.datetime64, panel: Panel, on_progress: Progress
) -> tuple[Any, dict[str, Any], Fit]:
    """Train a network on the windows whose targets end by `end`; the state to load it with; what happened.

    It keeps the weights that are best on the validation windows, and its start if that is better than all.

    Raises:
        ModelError: no price moves before `end`.
    """
    settings = panel.model
    keras.utils.set_random_seed(settings.seed)
    network = build_network(settings.context, windows.features.shape[1], settings.units, windows.horizon)
    network.get_layer("fan").table.assign(EwmaWalk.fit(windows, end).table)
    recipe = Recipe(
        sample=_Sampler(windows),
        loss=pinball,
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(LEARNING_RATE, settings.training_steps),
            weight_decay=WEIGHT_DECAY,
            clipnorm=1.0,
        ),
        batch_size=settings.batch_size,
        steps=settings.training_steps,
        steps_per_epoch=STEPS_PER_EPOCH,
        seed=settings.seed,
        keep_best=True,
    )
    return network, {}, fit(network, recipe, Split.of(windows, end), on_progress)


def load(network: Any, _: dict[str, Any]) -> StackedLstm:
    """A trained network; all its state is in its weights."""
    return StackedLstm(network)


def pinball(targets: Any, quantiles: Any, weights: Any) -> Any:
    """Weighted mean of 2 x pinball loss; targets (B, horizon), quantiles (B, horizon, 11), weights (B,)."""
    error = targets[..., None] - quantiles
    levels = LEVELS.astype(np.float32)
    losses = 2 * tf.maximum(levels * error, (levels - 1) * error)
    return tf.reduce_mean(losses * weights[:, None, None])


class _Sampler:
    """Contexts, targets in scales, and weights of windows."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows

    def __call__(self, origins: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        windows = self._windows
        targets = windows.targets(origins) / windows.scale[origins, None]
        return windows.contexts(origins), targets.astype(np.float32), np.ones(len(origins), np.float32)


def _interpolation(horizon: int) -> np.ndarray:
    """(`KNOTS`, horizon) weights that interpolate knots linearly in the logarithm of the step."""
    place = np.log(np.arange(1, horizon + 1)) / max(np.log(horizon), 1.0) * (KNOTS - 1)
    hats = 1 - np.abs(place - np.arange(KNOTS)[:, None])
    return np.maximum(hats, 0).astype(np.float32)
