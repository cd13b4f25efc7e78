"""The stacked LSTM: one network for all series, eleven quantiles for every step ahead, never crossing.

It begins at the volatility regression, a fan as wide as several volatilities together tell, and learns from
the whole context how far to stretch that fan at each step ahead. The stretch is bounded and smooth in the
step, so that even a bad network stays near a good forecast.
`docs/method.md` has what else was tried.
"""

from typing import Any

import numpy as np

from forecasting.models import volatility
from forecasting.models.backend import keras, tf
from forecasting.models.fitting import Fit, Recipe, Split, fit, forward
from forecasting.models.volatility import VolatilityRegression
from forecasting.panel import Panel
from forecasting.progress import Progress
from forecasting.quantiles import LEVELS
from forecasting.windows import LOG_SCALE, VOLATILITIES, Windows

NAME = "stacked_lstm"
# Changes are cut at this many scales, beyond which a size says no more than "a jump", and log volatilities at
# this distance from the scale's, where a series had not moved yet.
FEATURE_LIMIT = 8.0
# Bars that enter the first layer together: a fifth of the steps, and of the time, for the same context.
PATCH = 5
# The stretch is set at this many steps ahead, evenly spaced in their logarithms, and interpolated.
KNOTS = 4
# No step's fan is ever stretched or shrunk by more than exp(this), a factor of 1.35; by less where there is
# little to learn from: half of it with as many windows as this that share no bar.
STRETCH_LIMIT = 0.3
HALF_LIMIT_WINDOWS = 30
# A window counts by its volatility over its series' usual one, as in the scaled quantile loss, but never by
# more than this or less than its inverse: no crisis, peg or redenomination makes up a batch on its own.
WEIGHT_LIMIT = 2.0

STEPS_PER_EPOCH = 50
LEARNING_RATE = 3e-4
WEIGHT_DECAY = 1e-3


@keras.saving.register_keras_serializable("nightcast")
class OriginScale(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Scales each context by the volatility at its origin, the last step.

    Changes then count in scales, and log volatilities are relative to the scale's; calendar features stay.
    """

    def call(self, contexts: Any) -> Any:
        """(B, context, F) -> (B, context, F)."""
        log_scale = contexts[:, -1:, LOG_SCALE : LOG_SCALE + 1]
        changes, volatilities, calendar = tf.split(contexts, [LOG_SCALE, VOLATILITIES, -1], axis=2)
        scaled = tf.concat([changes * tf.exp(-log_scale), volatilities - log_scale, calendar], axis=2)
        return tf.clip_by_value(scaled, -FEATURE_LIMIT, FEATURE_LIMIT)


@keras.saving.register_keras_serializable("nightcast")
class QuantileFan(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Turns the start's numbers and the network's into quantiles of the change at each step ahead, in scales.

    Each says by how much, in logarithms, to stretch a table of quantiles at its knots; zeros give the table
    itself. A positive factor keeps a row of it in order.
    """

    def __init__(self, horizon: int, **layer: Any) -> None:
        super().__init__(**layer)
        self.horizon = horizon

    def build(self, _: tuple[int, ...]) -> None:
        """Make the table and the limit: to be assigned before training, and saved with the weights."""
        shape = (self.horizon, len(LEVELS))
        self.table = self.add_weight(shape=shape, name="table", trainable=False, initializer="zeros")
        self.limit = self.add_weight(shape=(), name="limit", trainable=False, initializer="ones")

    def call(self, numbers: tuple[Any, Any]) -> Any:
        """(B, `volatility.KNOTS`) and (B, `KNOTS`) -> (B, horizon, 11)."""
        start, correction = (some @ _interpolation(self.horizon, some.shape[-1]) for some in numbers)
        start = tf.clip_by_value(start, -volatility.LIMIT, volatility.LIMIT)
        stretch = start + self.limit * tf.tanh(correction / self.limit)
        return tf.exp(stretch)[..., None] * self.table

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
    """A network from (B, context, features) to (B, horizon, 11), in scales, that does not stretch yet."""
    inputs = keras.Input((context, features))
    patches = context // PATCH
    steps = OriginScale(name="scale")(inputs)
    volatilities = steps[:, -1, LOG_SCALE + 1 : LOG_SCALE + VOLATILITIES]
    steps = keras.layers.Cropping1D((context - patches * PATCH, 0))(steps)
    steps = keras.layers.Reshape((patches, PATCH * features))(steps)
    for layer, count in enumerate(units, start=1):
        steps = keras.layers.LSTM(count, return_sequences=layer < len(units))(steps)
    correction = keras.layers.Dense(KNOTS, kernel_initializer="zeros", name="correction")(steps)
    start = keras.layers.Dense(volatility.KNOTS, name="start", trainable=False)(volatilities)
    return keras.Model(inputs, QuantileFan(horizon, name="fan")([start, correction]), name=NAME)


def begin_at(network: Any, start: VolatilityRegression, windows: int) -> None:
    """Give a network that has learnt nothing the forecasts of `start`, and so many windows to learn from."""
    network.get_layer("start").set_weights([start.weights[1:], start.weights[0]])
    fan = network.get_layer("fan")
    fan.table.assign(start.table)
    independent = max(windows, 1) / fan.horizon
    fan.limit.assign(STRETCH_LIMIT * independent / (independent + HALF_LIMIT_WINDOWS))


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
    split = Split.of(windows, end)
    begin_at(network, VolatilityRegression.fit(windows, end), len(split.training))
    usual = _usual_scale(windows, end)

    def sample(origins: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        scale = windows.scale[origins]
        targets = windows.targets(origins) / scale[:, None]
        weights = np.clip(scale / usual[windows.bars.series[origins]], 1 / WEIGHT_LIMIT, WEIGHT_LIMIT)
        return windows.contexts(origins), targets.astype(np.float32), weights.astype(np.float32)

    recipe = Recipe(
        sample=sample,
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
    return network, {}, fit(network, recipe, split, on_progress)


def load(network: Any, _: dict[str, Any]) -> StackedLstm:
    """A trained network; all its state is in its weights."""
    return StackedLstm(network)


def pinball(targets: Any, quantiles: Any, weights: Any) -> Any:
    """Weighted mean of 2 x pinball loss; targets (B, horizon), quantiles (B, horizon, 11), weights (B,)."""
    error = targets[..., None] - quantiles
    levels = LEVELS.astype(np.float32)
    losses = 2 * tf.maximum(levels * error, (levels - 1) * error)
    return tf.reduce_mean(losses * weights[:, None, None])


def _usual_scale(windows: Windows, end: np.datetime64) -> np.ndarray:
    """(S,) the scale of a series whose changes by `end` were all of one size, normally distributed.

    That is their mean absolute value, by which the scaled quantile loss divides, times sqrt(pi / 2).
    """
    bars = windows.bars
    known = np.flatnonzero((windows.run >= 1) & (bars.ds <= end))
    sizes = np.abs(windows.level[known] - windows.level[known - 1])
    series = bars.series[known]
    sums = np.bincount(series, sizes, minlength=len(bars.ids))
    counts = np.bincount(series, minlength=len(bars.ids))
    return np.sqrt(np.pi / 2) * sums / np.maximum(counts, 1)


def _interpolation(horizon: int, knots: int) -> np.ndarray:
    return volatility.interpolation(horizon, knots).astype(np.float32)
