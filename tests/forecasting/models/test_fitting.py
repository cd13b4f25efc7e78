from typing import Any

import numpy as np
import pytest

from forecasting.models.backend import keras, tf
from forecasting.models.fitting import FORECAST_BATCH, Fit, Recipe, Split, fit, forward, spread
from forecasting.models.windows import Windows, build_windows
from forecasting.progress import silent
from tests.forecasting.models.conftest import END, make_bars, make_panel

# A problem with a known solution: targets are these weighted sums of two inputs.
ANSWER = np.array([[2.0], [-3.0]], dtype=np.float32)
INPUTS = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)
SPLIT = Split(np.arange(800), np.arange(800, 1000), np.datetime64("2020-01-01"))


def make_windows(bars: int) -> Windows:
    panel = make_panel()
    return build_windows(panel, make_bars(bars), panel.calendar)


def make_network() -> Any:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])


def make_recipe(learning_rate: float = 0.1, *, keep_best: bool = True, steps: int = 60) -> Recipe:
    def sample(origins: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return INPUTS[origins], INPUTS[origins] @ ANSWER, np.ones(len(origins), np.float32)

    return Recipe(
        sample=sample,
        loss=lambda targets, outputs, weights: tf.reduce_mean(weights[:, None] * (targets - outputs) ** 2),
        optimizer=keras.optimizers.SGD(learning_rate),
        batch_size=32,
        steps=steps,
        steps_per_epoch=20,
        seed=0,
        keep_best=keep_best,
    )


def train(recipe: Recipe, split: Split = SPLIT) -> tuple[np.ndarray, Fit]:
    network = make_network()
    result = fit(network, recipe, split, silent)
    return network.get_weights()[0], result


# --- Splitting -------------------------------------------------------------------------------------------


def test_no_training_target_reaches_into_the_validation_windows() -> None:
    windows = make_windows(400)
    split = Split.of(windows, END)
    assert windows.target_end(split.training).max() < split.begin
    assert windows.bars.ds[split.validation].min() == split.begin
    assert windows.target_end(split.validation).max() <= END
    assert len(split.validation) / len(windows.before(END)) == pytest.approx(0.15, abs=0.01)


def test_too_few_windows_to_hold_any_out_leave_none_to_train_on() -> None:
    windows = make_windows(28)
    assert len(windows.before(windows.bars.ds[-1])) > 0
    split = Split.of(windows, windows.bars.ds[-1])
    assert not len(split.training)
    assert not len(split.validation)


def test_a_split_without_windows_is_empty() -> None:
    windows = make_windows(15)
    split = Split.of(windows, windows.bars.ds[-1])
    assert not len(split.training)
    assert not len(split.validation)


def test_spread_takes_all_of_a_few_and_the_ends_of_many() -> None:
    np.testing.assert_array_equal(spread(np.arange(5), 10), np.arange(5))
    np.testing.assert_array_equal(spread(np.arange(101), 3), [0, 50, 100])


# --- Fitting ---------------------------------------------------------------------------------------------


def test_fit_finds_the_known_answer() -> None:
    weights, result = train(make_recipe())
    np.testing.assert_allclose(weights, ANSWER, atol=1e-3)
    assert result.step == [20, 40, 60]
    assert result.best_step == 60
    assert result.best_validation_loss < 1e-5 < result.start_validation_loss


def test_a_fit_that_only_gets_worse_keeps_its_start() -> None:
    start = make_network().get_weights()[0]
    weights, result = train(make_recipe(learning_rate=1.5))
    np.testing.assert_array_equal(weights, start)
    assert result.best_step == 0
    assert result.best_validation_loss == result.start_validation_loss < min(result.validation_loss)


def test_a_recipe_that_does_not_keep_the_best_ends_with_the_last() -> None:
    weights, result = train(make_recipe(learning_rate=1.5, keep_best=False))
    assert result.best_step == 60
    assert result.best_validation_loss == result.validation_loss[-1]
    assert (weights != make_network().get_weights()[0]).all()


def test_a_budget_that_is_no_multiple_of_an_epoch_is_used_up() -> None:
    _, result = train(make_recipe(steps=33))
    assert result.step == [20, 33]


def test_fewer_windows_than_a_batch_are_trained_on_all_the_same() -> None:
    weights, _ = train(make_recipe(), Split(np.arange(20), np.arange(900, 1000), SPLIT.begin))
    np.testing.assert_allclose(weights, ANSWER, atol=0.05)


def test_without_windows_the_network_stays_as_it_is() -> None:
    nothing = np.arange(0)
    weights, result = train(make_recipe(), Split(nothing, nothing, SPLIT.begin))
    np.testing.assert_array_equal(weights, make_network().get_weights()[0])
    assert (result.step, result.best_step) == ([], 0)


def test_the_same_seed_gives_the_same_weights() -> None:
    np.testing.assert_array_equal(train(make_recipe())[0], train(make_recipe())[0])


def test_progress_counts_the_steps_and_ends_at_their_number() -> None:
    told: list[tuple[int, int, str]] = []
    fit(make_network(), make_recipe(steps=40), SPLIT, lambda *what: told.append(what))
    assert [done for done, _, _ in told] == [10, 20, 30, 40]
    assert told[0] == (10, 40, "step 10/40")
    assert told[-1][2].startswith("step 40/40, loss 0.")


# --- Forecasting -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, FORECAST_BATCH, FORECAST_BATCH + 1])
def test_a_window_gets_the_same_bits_however_many_are_asked_for(count: int) -> None:
    network = make_network()
    every = forward(network, lambda origins: INPUTS[origins], np.arange(1000))
    some = forward(network, lambda origins: INPUTS[origins], np.arange(count))
    np.testing.assert_array_equal(some, every[:count])
    assert some.shape == (count, 1)
