"""Fitting: so many steps of gradient descent on windows drawn at random, judged on later ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from forecasting.models.backend import tf
from forecasting.models.windows import Windows
from forecasting.progress import Progress

# The last part, in time, of the windows that could be trained on says which weights are best instead.
VALIDATION_SHARE = 0.15
# More windows than this say no more, and take time from training.
MAX_VALIDATION = 4096
# Steps gathered, and handed to TensorFlow, at once: few enough to stay small, enough to keep Python out of
# the way.
STEPS_PER_CALL = 10
# A network forecasts this many windows at a time, padded: the last digit of what TensorFlow's kernels
# return can change with the size of a batch.
FORECAST_BATCH = 256


@dataclass(frozen=True)
class Split:
    """Windows to train on, and later ones to judge by, no bar of whose targets the first ones have seen.

    Attributes:
        training: origins; their targets end before `begin`.
        validation: origins at or after `begin`. Both are empty if either would be.
        begin: when the training split is over.
    """

    training: np.ndarray
    validation: np.ndarray
    begin: np.datetime64

    @classmethod
    def of(cls, windows: Windows, end: np.datetime64) -> Self:
        """Split the windows whose targets end by `end`."""
        origins = windows.before(end)
        ds = windows.bars.ds[origins]
        place = int(len(ds) * (1 - VALIDATION_SHARE))
        begin = np.partition(ds, place)[place] if len(ds) else end
        training = origins[windows.target_end(origins) < begin]
        validation = origins[ds >= begin] if len(training) else training
        return cls(training, validation, begin)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        sample: gives the contexts (W, ...), targets (W, ...) and weights (W,) of some origins.
        loss: of targets, outputs and weights; a scalar.
        optimizer: from Keras.
        batch_size: windows a step.
        steps: how many.
        steps_per_epoch: after so many the network is judged; a multiple of `STEPS_PER_CALL`.
        seed: of the order of windows.
        keep_best: end with the weights that were best on validation, the first ones included; else the last.
    """

    sample: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
    loss: Callable[[Any, Any, Any], Any]
    optimizer: Any
    batch_size: int
    steps: int
    steps_per_epoch: int
    seed: int
    keep_best: bool


@dataclass
class Fit:
    """What happened: losses at the end of each epoch, and where the weights that were kept come from."""

    step: list[int]
    loss: list[float]
    validation_loss: list[float]
    start_validation_loss: float
    best_step: int = 0

    @property
    def best_validation_loss(self) -> float:
        """Of the weights that were kept."""
        return dict(zip(self.step, self.validation_loss, strict=True)).get(
            self.best_step, self.start_validation_loss
        )


def fit(network: Any, recipe: Recipe, split: Split, on_progress: Progress) -> Fit:
    """Train `network` in place; without windows to train on, leave it as it is."""
    if not len(split.training):
        return Fit([], [], [], start_validation_loss=0.0)
    judged = spread(split.validation, MAX_VALIDATION)
    train = _steps_function(network, recipe)
    batches = _shuffled(split.training, recipe.batch_size, np.random.default_rng(recipe.seed))
    fit = Fit([], [], [], start_validation_loss=_judge(network, recipe, judged))
    best, kept = fit.start_validation_loss, network.get_weights()
    losses: list[float] = []
    done = 0
    while done < recipe.steps:
        count = min(STEPS_PER_CALL, recipe.steps - done)
        losses += train(*_gather(recipe, [next(batches) for _ in range(count)])).numpy().tolist()
        done += count
        if done % recipe.steps_per_epoch == 0 or done == recipe.steps:
            fit.step.append(done)
            fit.loss.append(float(np.mean(losses)))
            fit.validation_loss.append(_judge(network, recipe, judged))
            losses.clear()
            if fit.validation_loss[-1] < best:
                best, kept, fit.best_step = fit.validation_loss[-1], network.get_weights(), done
        on_progress(done, recipe.steps, _describe(fit, done, recipe.steps))
    if recipe.keep_best:
        network.set_weights(kept)
    else:
        fit.best_step = done
    return fit


def forward(network: Any, contexts: Callable[[np.ndarray], np.ndarray], origins: np.ndarray) -> np.ndarray:
    """(W, ...) float32 outputs of the network, in batches of one fixed shape."""
    outputs = [np.empty((0, *network.output_shape[1:]), dtype=np.float32)]
    for start in range(0, len(origins), FORECAST_BATCH):
        batch = origins[start : start + FORECAST_BATCH]
        padded = np.resize(batch, FORECAST_BATCH)
        outputs.append(network.predict_on_batch(contexts(padded))[: len(batch)])
    return np.concatenate(outputs)


def spread(origins: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of `origins`, evenly over the series and their time."""
    return origins[np.linspace(0, len(origins) - 1, min(count, len(origins))).astype(np.int64)]


def _steps_function(network: Any, recipe: Recipe) -> Any:
    """A compiled function of (steps, batch, ...) arrays that takes those steps and gives their losses."""
    variables = network.trainable_variables

    def step(batch: tuple[Any, Any, Any]) -> Any:
        contexts, targets, weights = batch
        with tf.GradientTape() as tape:
            loss = recipe.loss(targets, network(contexts, training=True), weights)
        recipe.optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def steps(contexts: Any, targets: Any, weights: Any) -> Any:
        return tf.map_fn(
            step, (contexts, targets, weights), fn_output_signature=tf.float32, parallel_iterations=1
        )

    recipe.optimizer.build(variables)
    return tf.function(steps, reduce_retracing=True)


def _gather(recipe: Recipe, batches: list[np.ndarray]) -> list[np.ndarray]:
    """The arrays of those batches, each (steps, batch, ...)."""
    arrays = recipe.sample(np.concatenate(batches))
    return [array.reshape(len(batches), -1, *array.shape[1:]) for array in arrays]


def _judge(network: Any, recipe: Recipe, origins: np.ndarray) -> float:
    outputs = forward(network, lambda some: recipe.sample(some)[0], origins)
    _, targets, weights = recipe.sample(origins)
    return float(recipe.loss(targets, outputs, weights))


def _shuffled(origins: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches of one size for ever, in a new order each time round."""
    origins = np.resize(origins, max(len(origins), size))
    while True:
        order = rng.permutation(origins)
        for start in range(0, len(order) - size + 1, size):
            yield order[start : start + size]


def _describe(fit: Fit, done: int, steps: int) -> str:
    text = f"step {done}/{steps}"
    if fit.step:
        text += f", loss {fit.loss[-1]:.4f}, validation {fit.validation_loss[-1]:.4f}"
    return text
