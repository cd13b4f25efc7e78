"""Fitting: gradient descent on randomly drawn windows, validated on later windows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from forecasting.models.backend import tf
from forecasting.models.windows import Windows
from forecasting.progress import Progress

# This share of the windows, the latest ones, is for choosing the best weights instead of for training.
VALIDATION_SHARE = 0.15
# More validation windows than this cost time and add little.
MAX_VALIDATION = 4096
# Training steps per call of TensorFlow: few enough to save memory, enough to make the overhead of Python
# small.
STEPS_PER_CALL = 10
# A network always forecasts batches of this size, padded if needed: the last digit of TensorFlow's results
# can depend on the batch size.
FORECAST_BATCH = 256


@dataclass(frozen=True)
class Split:
    """Training windows, and later validation windows whose targets share no bar with the training windows.

    Both parts are empty if either one would be.

    Attributes:
        training: origins of windows whose targets end before `begin`.
        validation: origins at or after `begin`.
        begin: datetime64[us]; the end of the training part.
    """

    training: np.ndarray
    validation: np.ndarray
    begin: np.datetime64

    @classmethod
    def of(cls, windows: Windows, end: np.datetime64) -> Self:
        """Split the windows whose targets end at or before `end`."""
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
        sample: returns the contexts (W, ...), targets (W, ...) and weights (W,) of W origins.
        loss: takes targets, outputs and weights, and returns a scalar.
        optimizer: a Keras optimizer.
        batch_size: windows per step.
        steps: the number of training steps.
        steps_per_epoch: steps between two validations; a multiple of `STEPS_PER_CALL`.
        seed: the seed of the order of windows.
        keep_best: whether to end with the weights that had the lowest validation loss, which may be the
            initial weights; otherwise with the last ones.
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
    """The course of a training: the losses after each epoch, and the step whose weights were kept."""

    step: list[int]
    loss: list[float]
    validation_loss: list[float]
    start_validation_loss: float
    best_step: int = 0

    @property
    def best_validation_loss(self) -> float:
        """The validation loss of the weights that were kept."""
        return dict(zip(self.step, self.validation_loss, strict=True)).get(
            self.best_step, self.start_validation_loss
        )


def fit(network: Any, recipe: Recipe, split: Split, on_progress: Progress) -> Fit:
    """Train `network` in place. Without training windows, the network stays as it is."""
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
    """(W, ...) float32 outputs of the network, computed in batches of a fixed size."""
    outputs = [np.empty((0, *network.output_shape[1:]), dtype=np.float32)]
    for start in range(0, len(origins), FORECAST_BATCH):
        batch = origins[start : start + FORECAST_BATCH]
        padded = np.resize(batch, FORECAST_BATCH)
        outputs.append(network.predict_on_batch(contexts(padded))[: len(batch)])
    return np.concatenate(outputs)


def spread(origins: np.ndarray, count: int) -> np.ndarray:
    """Return at most `count` of `origins`, spread evenly over series and time."""
    return origins[np.linspace(0, len(origins) - 1, min(count, len(origins))).astype(np.int64)]


def _steps_function(network: Any, recipe: Recipe) -> Any:
    """Compile a function that trains on (steps, batch, ...) arrays and returns the losses (steps,)."""
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
    """Return the contexts, targets and weights of several batches, each (steps, batch, ...)."""
    arrays = recipe.sample(np.concatenate(batches))
    return [array.reshape(len(batches), -1, *array.shape[1:]) for array in arrays]


def _judge(network: Any, recipe: Recipe, origins: np.ndarray) -> float:
    outputs = forward(network, lambda some: recipe.sample(some)[0], origins)
    _, targets, weights = recipe.sample(origins)
    return float(recipe.loss(targets, outputs, weights))


def _shuffled(origins: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield batches of `size` without end, in a new random order in each pass."""
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
