"""Pretraining: trains the default network on simulated markets only, never on real prices.

`python -m forecasting.models.pretrain` trains the network that the package ships.
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
# Training steps per call into TensorFlow.
_STEPS_PER_CALL = 20


@dataclass(frozen=True)
class Recipe:
    """Settings of the pretraining.

    Attributes:
        units: units of each LSTM layer.
        rounds: number of samples, each of about 8,000 daily and 8,000 intraday windows; none is used twice.
        batch_size: windows per step.
        learning_rate: learning rate at the start; it decays to 0 along a cosine.
        weight_decay: weight decay of AdamW.
        seed: seed of the initial weights and of the simulation.
        series: simulated series of each kind per round.
        context: changes that the first LSTM layer reads.
    """

    units: tuple[int, ...] = (32, 16)
    rounds: int = 60
    batch_size: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    seed: int = 1
    series: int = 1000
    context: int = CONTEXT

    def sample(self, number: int, kind: str, *, series: int | None = None, paths: int = PATHS) -> Sample:
        """Simulate the sample `number`; training uses the numbers below `rounds`."""
        seed = (self.seed, number)
        return Sample.draw(seed, kind, series=series or self.series, paths=paths, context=self.context)


def build_network(units: tuple[int, ...], context: int = CONTEXT) -> Any:
    """Build the Keras model, from contexts (B, 24, 10) and inputs at the origin (B, F) to (B, 28).

    Its outputs start at zero, which is a random walk with the recent volatility.
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
    """Mean pinball loss over futures, quantiles and steps, divided by the forecast width of each step.

    No gradient flows through that divisor, so a window's weight depends only on its inputs and the loss is
    proper. A weight that depends on the futures, for instance on their size, makes every interval too narrow.

    Args:
        numbers: (B, 28) the network's outputs.
        futures: (B, paths, 15) changes at `STEPS_AHEAD`, in scales.
    """
    levels = LEVELS.astype(np.float32)
    root = np.sqrt(STEPS_AHEAD).astype(np.float32)
    error = futures[..., None] - fan.quantiles(numbers, STEPS_AHEAD, keras.ops)[:, None]
    pinball = tf.reduce_mean(2 * tf.maximum(levels * error, (levels - 1) * error), axis=(1, 3)) / root
    width = tf.stop_gradient(fan.widths(numbers, STEPS_AHEAD, keras.ops))
    return tf.reduce_mean(pinball / (width + 0.05))


def pretrain(recipe: Recipe, on_round: Callable[[int, Any, float], None]) -> Any:
    """Train a network on simulated markets and return the Keras model.

    Args:
        recipe: the settings.
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
    """The samples of all rounds; a thread simulates the next one while the network trains."""

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
    """Arrays (steps, batch, ...) of a sample's windows in random order, without an incomplete last batch."""
    order = rng.permutation(len(sample))
    order = order[: len(order) // batch_size * batch_size].reshape(-1, batch_size)
    for start in range(0, len(order), _STEPS_PER_CALL):
        rows = order[start : start + _STEPS_PER_CALL]
        yield sample.contexts[rows], sample.at_origin[rows], sample.futures[rows]


def _steps_function(network: Any, optimizer: Any) -> Any:
    """Compile a function that trains on (steps, batch, ...) arrays and returns the loss of each step."""
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
