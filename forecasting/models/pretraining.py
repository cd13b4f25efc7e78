"""Pretraining: the default network learns from simulated markets, and has seen no price when it is done.

`python -m forecasting.models.pretrain` trains and writes the one that the package ships.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecasting.models import fan
from forecasting.models.backend import keras, tf
from forecasting.models.inputs import CONTEXT, NAMES, PATCH
from forecasting.models.simulation.markets import PATHS, STEPS_AHEAD
from forecasting.models.simulation.samples import KINDS, Sample
from forecasting.quantiles import LEVELS

HIDDEN = 64
# Steps handed to TensorFlow at once.
_STEPS_PER_CALL = 20


@dataclass(frozen=True)
class Recipe:
    """How the network is pretrained.

    Attributes:
        units: of each LSTM layer.
        rounds: how many samples are drawn and learnt from, each of about 8,000 daily and 8,000 intraday
            windows; no window is seen twice.
        batch_size: windows a step.
        learning_rate: at the start; it falls to 0 as a cosine.
        weight_decay: of AdamW.
        seed: of the weights and of everything simulated.
        series: how many of each kind are simulated in a round.
        context: how many changes the first layer sees.
    """

    units: tuple[int, ...] = (32, 16)
    rounds: int = 120
    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    seed: int = 1
    series: int = 1000
    context: int = CONTEXT

    def sample(self, number: int, kind: str, *, series: int | None = None, paths: int = PATHS) -> Sample:
        """The simulated windows of such a number: those below `rounds` are learnt from."""
        seed = (self.seed, number)
        return Sample.draw(seed, kind, series=series or self.series, paths=paths, context=self.context)


def build_network(units: tuple[int, ...], context: int = CONTEXT) -> Any:
    """The Keras model: from contexts (B, 24, 10) and inputs at the origin (B, F) to a fan's numbers (B, 28).

    It begins at a fan of zeros: a random walk as wide as the volatility of late.
    """
    steps = keras.Input((context // PATCH, 2 * PATCH), name="context")
    at_origin = keras.Input((len(NAMES),), name="at_origin")
    state = steps
    for layer, count in enumerate(units, start=1):
        state = keras.layers.LSTM(count, return_sequences=layer < len(units), name=f"lstm_{layer}")(state)
    joined = keras.layers.Concatenate(name="joined")([state, at_origin])
    hidden = keras.layers.Dense(HIDDEN, activation="tanh", name="hidden")(joined)
    numbers = keras.layers.Dense(fan.CURVES * fan.KNOTS, kernel_initializer="zeros", name="numbers")(hidden)
    return keras.Model([steps, at_origin], numbers, name="stacked_lstm")


def loss(numbers: Any, futures: Any) -> Any:
    """Mean pinball loss of all futures, quantiles and steps, each over the width that is forecast.

    No gradient flows through that width, so a window's weight depends on its inputs alone. A weight that
    depends on the futures, say on their size, is not proper: it makes every interval too narrow.

    Args:
        numbers: (B, 28) what the network says.
        futures: (B, paths, 15) changes at `STEPS_AHEAD`, in scales.
    """
    levels = LEVELS.astype(np.float32)
    root = np.sqrt(STEPS_AHEAD).astype(np.float32)
    error = futures[..., None] - fan.quantiles(numbers, STEPS_AHEAD, keras.ops)[:, None]
    pinball = tf.reduce_mean(2 * tf.maximum(levels * error, (levels - 1) * error), axis=(1, 3)) / root
    width = tf.stop_gradient(fan.widths(numbers, STEPS_AHEAD, keras.ops))
    return tf.reduce_mean(pinball / (width + 0.05))


def pretrain(recipe: Recipe, on_round: Callable[[int, Any, float], None]) -> Any:
    """Train a network on simulated markets; the Keras model.

    Args:
        recipe: how.
        on_round: called after each round with its number, the network so far and the round's loss.
    """
    keras.utils.set_random_seed(recipe.seed)
    network = build_network(recipe.units, recipe.context)
    steps = recipe.rounds * (len(KINDS) * recipe.series * 8 // recipe.batch_size)
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps),
        weight_decay=recipe.weight_decay,
        clipnorm=1.0,
    )
    train = _steps_function(network, optimizer)
    rng = np.random.default_rng(recipe.seed)
    for done, sample in enumerate(_samples(recipe), start=1):
        losses = [train(*arrays).numpy() for arrays in _calls(sample, recipe.batch_size, rng)]
        on_round(done, network, float(np.concatenate(losses).mean()))
    return network


def _samples(recipe: Recipe) -> Iterator[Sample]:
    """The samples of all rounds; the next one is simulated while one is learnt from."""

    def draw(number: int) -> Sample:
        return Sample.join([recipe.sample(number, kind) for kind in KINDS])

    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(draw, 0)
        for number in range(1, recipe.rounds + 1):
            sample = following.result()
            if number < recipe.rounds:
                following = ahead.submit(draw, number)
            yield sample


def _calls(sample: Sample, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, ...]]:
    """Arrays (steps, batch, ...) of a sample's windows in random order, but for those that fill no batch."""
    order = rng.permutation(len(sample))
    order = order[: len(order) // batch_size * batch_size].reshape(-1, batch_size)
    for start in range(0, len(order), _STEPS_PER_CALL):
        rows = order[start : start + _STEPS_PER_CALL]
        yield sample.contexts[rows], sample.at_origin[rows], sample.futures[rows]


def _steps_function(network: Any, optimizer: Any) -> Any:
    """A compiled function of (steps, batch, ...) arrays that takes those steps and gives their losses."""
    variables = network.trainable_variables
    optimizer.build(variables)

    def step(batch: tuple[Any, Any, Any]) -> Any:
        contexts, at_origin, futures = batch
        with tf.GradientTape() as tape:
            value = loss(network([contexts, at_origin], training=True), futures)
        optimizer.apply(tape.gradient(value, variables), variables)
        return value

    def steps(*arrays: Any) -> Any:
        return tf.map_fn(step, arrays, fn_output_signature=tf.float32, parallel_iterations=1)

    return tf.function(steps, reduce_retracing=True)
