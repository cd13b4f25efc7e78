"""The stacked LSTM: one network for all series, with eleven quantiles per step that never cross.

The network starts from the volatility regression, which sets the width of the quantiles from several
volatilities. It learns from the whole context how far to stretch this fan of quantiles at each step ahead.
With a loss of the point forecast alone, it learns how far to move the fan instead. Both corrections are
bounded and smooth in the step, so that even a badly trained network stays near a good forecast.
`docs/appendix-method.md` describes the alternatives that were tried.
"""

from typing import Any

import numpy as np

from forecasting.models import volatility
from forecasting.models.backend import keras, tf
from forecasting.models.fitting import MAX_VALIDATION, Fit, Recipe, Split, fit, forward, spread
from forecasting.models.losses import LOSSES
from forecasting.models.presets import DEFAULT
from forecasting.models.volatility import VolatilityRegression
from forecasting.models.windows import LOG_SCALE, VOLATILITIES, Windows
from forecasting.panel import Panel
from forecasting.progress import Progress
from forecasting.quantiles import LEVELS, MEDIAN

NAME = DEFAULT.model
# Features are clipped at this value: changes in scales, as larger values only mean "a jump", and log
# volatilities relative to the scale, which are extreme before a series first changes.
FEATURE_LIMIT = 8.0
# Bars per input step of the first layer: a fifth of the steps, and of the time, for the same context.
PATCH = 5
# The stretch or shift is set at this many steps ahead, evenly spaced in the logarithm, and interpolated.
KNOTS = 4
# The quantiles of a step are stretched or shrunk by at most exp(STRETCH_LIMIT), a factor of 1.35.
STRETCH_LIMIT = 0.3
# They are moved by at most this many scales times the square root of the step.
SHIFT_LIMIT = 0.5
# Both limits shrink with little data: this many windows without common bars give half of the limit.
HALF_LIMIT_WINDOWS = 30
# Held-out windows that span fewer targets than this, end to end, do not determine the width.
MIN_TARGETS = 20
# A window's weight is its volatility relative to the usual one of its series, as in the scaled quantile loss.
# It lies between 1 / WEIGHT_LIMIT and WEIGHT_LIMIT: no crisis, peg or redenomination may dominate a batch.
WEIGHT_LIMIT = 2.0

STEPS_PER_EPOCH = 50
LEARNING_RATE = 3e-4
WEIGHT_DECAY = 1e-3


@keras.saving.register_keras_serializable("nightcast")
class OriginScale(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Scales each context by the volatility at its origin, the last step.

    Changes are divided by the scale, and log volatilities become relative to it. Calendar features stay as
    they are.
    """

    def call(self, contexts: Any) -> Any:
        """(B, context, F) -> (B, context, F)."""
        log_scale = contexts[:, -1:, LOG_SCALE : LOG_SCALE + 1]
        changes, volatilities, calendar = tf.split(contexts, [LOG_SCALE, VOLATILITIES, -1], axis=2)
        scaled = tf.concat([changes * tf.exp(-log_scale), volatilities - log_scale, calendar], axis=2)
        return tf.clip_by_value(scaled, -FEATURE_LIMIT, FEATURE_LIMIT)


@keras.saving.register_keras_serializable("nightcast")
class QuantileFan(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Converts the outputs of the initial regression and of the network to quantiles, in scales.

    The regression gives the logarithm of the factor by which a table of quantiles is stretched, at
    `volatility.KNOTS` steps ahead. The network adds to this logarithm or, with `moves`, shifts the quantiles,
    in units of the square root of the step. Zeros leave the table unchanged. A row of quantiles gets one
    shift and one positive factor, which keep its order.
    """

    def __init__(self, horizon: int, *, moves: bool = False, **layer: Any) -> None:
        super().__init__(**layer)
        self.horizon = horizon
        self.moves = moves

    def build(self, _: tuple[int, ...]) -> None:
        """Create the table and the limit. They are assigned before training, and saved with the weights."""
        shape = (self.horizon, len(LEVELS))
        self.table = self.add_weight(shape=shape, name="table", trainable=False, initializer="zeros")
        self.limit = self.add_weight(shape=(), name="limit", trainable=False, initializer="ones")

    def call(self, numbers: tuple[Any, Any]) -> Any:
        """(B, `volatility.KNOTS`) and (B, `KNOTS`) -> (B, horizon, 11)."""
        start, correction = (some @ _interpolation(self.horizon, some.shape[-1]) for some in numbers)
        start = tf.clip_by_value(start, -volatility.LIMIT, volatility.LIMIT)
        correction = self.limit * tf.tanh(correction / self.limit)
        if self.moves:
            root = np.sqrt(np.arange(1, self.horizon + 1, dtype=np.float32))
            return tf.exp(start)[..., None] * ((root * correction)[..., None] + self.table)
        stretch = start + correction
        return tf.exp(stretch)[..., None] * self.table

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "horizon": self.horizon, "moves": self.moves}


class StackedLstm:
    """The trained network as a forecaster."""

    name = NAME

    def __init__(self, network: Any) -> None:
        self._network = network

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        """(W, horizon, 11) quantiles of the change of level from each origin."""
        fan = forward(self._network, windows.contexts, origins)
        return windows.scale[origins, None, None] * fan


def build_network(
    context: int, features: int, units: tuple[int, ...], horizon: int, *, moves: bool = False
) -> Any:
    """Build a network from (B, context, features) to (B, horizon, 11), in scales, with a correction of 0."""
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
    return keras.Model(inputs, QuantileFan(horizon, moves=moves, name="fan")([start, correction]), name=NAME)


def begin_at(network: Any, start: VolatilityRegression, windows: int) -> None:
    """Give an untrained network the forecasts of `start`, and limits for `windows` training windows."""
    network.get_layer("start").set_weights([start.weights[1:], start.weights[0]])
    fan = network.get_layer("fan")
    fan.table.assign(start.table)
    independent = max(windows, 1) / fan.horizon
    limit = SHIFT_LIMIT if fan.moves else STRETCH_LIMIT
    fan.limit.assign(limit * independent / (independent + HALF_LIMIT_WINDOWS))


def train(
    windows: Windows, end: np.datetime64, panel: Panel, on_progress: Progress
) -> tuple[Any, dict[str, Any], Fit]:
    """Train a network on the windows whose targets end at or before `end`.

    The result has the weights with the lowest validation loss, which may be the initial ones. A network that
    learnt only the point forecast then gets its width from its errors on the validation windows.

    Returns:
        The network, the state that `load` needs (empty), and the course of the training.

    Raises:
        ModelError: no price changes before `end`.
    """
    settings, loss = panel.model, LOSSES[panel.model.loss]
    keras.utils.set_random_seed(settings.seed)
    features = windows.features.shape[1]
    network = build_network(settings.context, features, settings.units, windows.horizon, moves=loss.of_point)
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
        loss=loss.of,
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
    result = fit(network, recipe, split, on_progress)
    enough = len(split.validation) >= MIN_TARGETS * windows.horizon
    if loss.of_point and result.best_step and enough:
        network.get_layer("fan").table.assign(_held_out_table(network, windows, split.validation))
    return network, {}, result


def load(network: Any, _: dict[str, Any]) -> StackedLstm:
    """Create the forecaster from a trained network. All state is in its weights."""
    return StackedLstm(network)


def _held_out_table(network: Any, windows: Windows, origins: np.ndarray) -> np.ndarray:
    """(horizon, 11) quantiles of the point forecast's errors on these windows, in widths.

    The quantiles are symmetric: errors of one period lie mostly on one side, depending on how prices moved.
    """
    # With a table from -1 to 1, half the distance of the outer quantiles is the width of each window.
    network.get_layer("fan").table.assign(np.tile(np.linspace(-1, 1, len(LEVELS)), (windows.horizon, 1)))
    origins = spread(origins, MAX_VALIDATION)
    quantiles = forward(network, windows.contexts, origins)
    width = (quantiles[..., -1] - quantiles[..., 0]) / 2
    errors = (windows.targets(origins) / windows.scale[origins, None] - quantiles[..., MEDIAN]) / width
    sizes = np.quantile(np.abs(errors), np.abs(2 * LEVELS - 1), axis=0).T
    table: np.ndarray = np.sign(LEVELS - LEVELS[MEDIAN]) * sizes
    return table


def _usual_scale(windows: Windows, end: np.datetime64) -> np.ndarray:
    """(S,) standard deviation of each series' changes up to `end`, if these are normally distributed.

    It is the mean absolute change, by which the scaled quantile loss divides, times sqrt(pi / 2).
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
