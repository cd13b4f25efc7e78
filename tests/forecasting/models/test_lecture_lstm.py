from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from forecasting.errors import ModelError
from forecasting.models import lecture_lstm
from forecasting.models.backend import keras
from forecasting.models.fitting import Recipe
from forecasting.models.lecture_lstm import LectureLstm, Standardiser, StandardWindows
from forecasting.models.training import load_network
from forecasting.models.windows import Windows, build_windows
from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.progress import silent
from forecasting.quantiles import MEDIAN
from tests.forecasting.models.conftest import START, Trained, make_bars

HISTORY, STEP, HORIZON = 720, 6, 4


class Fitted(Exception):  # noqa: N818 - no error, but the end of what a test wants to see
    pass


def make_panel(horizon: int = HORIZON) -> Panel:
    return Panel.model_validate(
        {
            "name": "toy",
            "source": {"uri": "x"},
            "forecast": {"horizon": horizon},
            "model": {"preset": "lecture"},
        }
    )


def make_windows(bars: Bars, horizon: int = HORIZON) -> Windows:
    panel = make_panel(horizon)
    return build_windows(panel, bars, panel.calendar)


def lecture_loop(
    dataset: np.ndarray, target: np.ndarray, start: int, end: int
) -> tuple[np.ndarray, np.ndarray]:
    """`multivariate_data` of the lecture, for windows of 720 bars sampled every 6th."""
    data, labels = [], []
    for i in range(start + HISTORY, end - HORIZON + 1):
        indices = range(i - HISTORY, i, STEP)
        data.append(dataset[indices])
        labels.append(target[i : i + HORIZON])
    return np.array(data), np.array(labels)


@pytest.fixture(scope="module")
def windows() -> Windows:
    return make_windows(make_bars(count=1000, series=2))


# --- To the letter ---------------------------------------------------------------------------------------


def test_the_network_is_the_lectures_layer_for_layer() -> None:
    network = lecture_lstm.build_network(120, (32, 16), 72)
    first, second, last = network.layers
    assert network.input_shape == (None, 120, 1)
    assert [type(layer) for layer in network.layers] == [
        keras.layers.LSTM,
        keras.layers.LSTM,
        keras.layers.Dense,
    ]
    assert (first.units, first.return_sequences, first.activation) == (32, True, keras.activations.tanh)
    assert (second.units, second.return_sequences, second.activation) == (16, False, keras.activations.relu)
    assert (last.units, last.activation) == (72, keras.activations.linear)


def test_its_single_step_sibling_has_one_lstm_of_32() -> None:
    only, last = lecture_lstm.build_network(120, (32, 16), 1).layers
    assert (only.units, only.return_sequences, only.activation) == (32, False, keras.activations.tanh)
    assert (last.units, last.activation) == (1, keras.activations.linear)


@pytest.mark.parametrize(("horizon", "clipped_at"), [(72, 1.0), (1, None)])
def test_it_is_trained_with_rmsprop_on_the_mean_absolute_error(
    horizon: int, clipped_at: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes: list[Recipe] = []

    def note(_network: Any, recipe: Recipe, *_: Any) -> None:
        recipes.append(recipe)
        raise Fitted

    monkeypatch.setattr(lecture_lstm, "fit", note)
    windows = make_windows(make_bars(count=1000, series=1), horizon)
    with pytest.raises(Fitted):
        lecture_lstm.train(windows, windows.bars.ds[-1], make_panel(horizon), silent)
    (recipe,) = recipes
    assert isinstance(recipe.optimizer, keras.optimizers.RMSprop)
    assert recipe.optimizer.clipvalue == clipped_at
    assert float(recipe.optimizer.learning_rate) == pytest.approx(0.001)
    assert float(recipe.loss(np.array([[1.0]]), np.array([[4.0]]), np.ones(1))) == 3.0
    assert not recipe.keep_best


def test_windows_are_those_of_the_lectures_loop(windows: Windows) -> None:
    start, stop = windows.bars.offsets[1:3]
    level = windows.level[start:stop]
    standardised = ((level - level[:900].mean()) / level[:900].std())[:, None]
    contexts, targets = lecture_loop(standardised, standardised[:, 0], 0, len(level))
    standard = StandardWindows(windows, Standardiser.of(windows, windows.bars.ds[900]))
    origins = start + HISTORY - 1 + np.arange(len(contexts))
    np.testing.assert_allclose(standard.contexts(origins), contexts, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(standard.targets(origins), targets, rtol=1e-5, atol=1e-6)
    whole = np.flatnonzero(windows.has_context & windows.has_target)
    # The loop needs 720 bars up to the origin. Our windows also need the change into the first of these bars.
    np.testing.assert_array_equal(whole[windows.bars.series[whole] == 1], origins[1:])


# --- Standardised by the training split ------------------------------------------------------------------


def test_only_the_training_split_says_how_levels_are_standardised(windows: Windows) -> None:
    end = windows.bars.ds[800]
    changed = replace(windows.bars, y=np.where(windows.bars.ds < end, 1.0, 5.0) * windows.bars.y)
    found = Standardiser.of(make_windows(changed), end)
    assert found == Standardiser.of(windows, end)
    assert list(found.moments) == ["s0", "s1"]


def test_a_series_that_was_not_there_is_standardised_by_its_own_first_context(windows: Windows) -> None:
    mean, deviation = Standardiser({"s0": (1.0, 2.0)}).by_series(windows)
    first = windows.level[windows.bars.offsets[1] :][:HISTORY]
    np.testing.assert_allclose(mean, [1, first.mean()])
    np.testing.assert_allclose(deviation, [2, first.std()])


def test_a_level_that_never_moves_is_not_divided_by_nothing() -> None:
    windows = make_windows(replace(make_bars(count=800, series=1), y=np.full(800, 0.1)))
    standard = StandardWindows(windows, Standardiser.of(windows, windows.bars.ds[-1]))
    np.testing.assert_allclose(standard.contexts(np.array([750])), 0, atol=1e-6)


# --- End to end ------------------------------------------------------------------------------------------


def test_the_last_weights_are_kept_and_their_losses_told(trained_lecture: Trained) -> None:
    network = trained_lecture.network
    assert network.history["step"] == [10]
    assert network.facts["best_step"] == 10
    assert network.facts["validation_loss"] == network.history["val_loss"][-1]


def test_its_quantiles_lie_around_the_point_that_the_network_gives(trained_lecture: Trained) -> None:
    windows, network = trained_lecture.windows, trained_lecture.network
    model = load_network(trained_lecture.panel, network.model_bytes, network.state)
    assert isinstance(model, LectureLstm)
    origins = np.array([900, 2599])
    quantiles = model.predict(windows, origins)
    points = model.network.predict(StandardWindows(windows, model.standardiser).contexts(origins), verbose=0)
    mean, deviation = np.array([model.standardiser.moments[name] for name in ("s0", "s1")]).T
    levels = windows.level[origins, None] + quantiles[:, :, MEDIAN]
    np.testing.assert_allclose(levels, mean[:, None] + deviation[:, None] * points, rtol=1e-5)
    assert (np.diff(quantiles, axis=-1) >= 0).all()
    assert (quantiles[..., -1] > quantiles[..., 0]).all()


def test_too_little_history_is_refused_with_the_numbers_of_bars() -> None:
    windows = make_windows(make_bars(count=700, series=1))
    with pytest.raises(ModelError) as caught:
        lecture_lstm.train(windows, START + np.timedelta64(649, "D"), make_panel(), silent)
    assert str(caught.value) == (
        'preset = "lecture" trains on windows of 720 + 4 bars and holds later ones out, but the longest '
        'series of panel toy, s0, has 650 bars to train on; give more history, or set preset = "default" '
        "in [model]"
    )
