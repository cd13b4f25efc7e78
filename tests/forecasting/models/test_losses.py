"""The minimum of each loss, and what a network trained with it learns."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from forecasting.models.backend import keras, tf
from forecasting.models.fitting import Fit
from forecasting.models.losses import HUBER_TURN, LOSSES, huber, mae, pinball
from forecasting.models.stacked_lstm import (
    KNOTS,
    SHIFT_LIMIT,
    QuantileFan,
    StackedLstm,
    build_network,
    load,
    train,
)
from forecasting.models.training import load_network
from forecasting.models.volatility import KNOTS as START_KNOTS
from forecasting.models.volatility import VolatilityRegression
from forecasting.models.windows import build_windows
from forecasting.panel_settings import ModelSettings
from forecasting.prices.bars import Bars
from forecasting.progress import silent
from forecasting.quantiles import LEVELS, MEDIAN
from tests.forecasting.models.conftest import END, START, Trained, make_panel

OF_POINT = [name for name, loss in LOSSES.items() if loss.of_point]

# --- What a loss asks for --------------------------------------------------------------------------------

# The median of these values is 2, and the mean 4.2. With a turning point of 1.345 only 1 and 2 count in full;
# 0, 4 and 14 count up to the turning point. Huber's x solves (1 - x) + (2 - x) + 1.345 = 0.
SKEWED = np.array([0.0, 1.0, 2.0, 4.0, 14.0], np.float32)[:, None]


def slope(name: str, at: int, value: float) -> float:
    """Return the loss on `SKEWED` as one quantile moves and the others stay at 0."""
    number = tf.constant(value, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(number)
        quantiles = number * tf.one_hot([[at]] * len(SKEWED), len(LEVELS))
        loss = LOSSES[name].of(SKEWED, quantiles, np.ones(len(SKEWED), np.float32))
    return float(tape.gradient(loss, number))


@pytest.mark.parametrize(
    ("name", "at", "best"),
    [
        ("pinball", MEDIAN, 2.0),
        ("pinball", 1, 0.0),  # a tenth of five numbers: the least of them
        ("pinball", 9, 14.0),
        ("mae", MEDIAN, 2.0),
        ("huber", MEDIAN, 4.345 / 2),
    ],
)
def test_a_loss_is_least_where_it_should_be(name: str, at: int, best: float) -> None:
    assert slope(name, at, best - 0.01) < 0 < slope(name, at, best + 0.01)


@pytest.mark.parametrize("name", OF_POINT)
@pytest.mark.parametrize("at", [at for at in range(len(LEVELS)) if at != MEDIAN])
def test_a_loss_of_the_point_says_nothing_of_the_width(name: str, at: int) -> None:
    assert slope(name, at, 3.0) == 0


def test_pinball_is_the_scaled_quantile_loss_worked_by_hand() -> None:
    # One window, one step: the truth 1 lies above six quantiles of 0 and below five of 2.
    quantiles = np.array([[[0.0] * 6 + [2.0] * 5]], dtype=np.float32)
    by_hand = 2 * (sum([0.05, 0.1, 0.2, 0.3, 0.4, 0.5]) + sum([0.4, 0.3, 0.2, 0.1, 0.05])) / 11
    loss = pinball(np.ones((1, 1), np.float32), quantiles, np.array([3.0], np.float32))
    assert float(loss) == pytest.approx(3 * by_hand)


def test_the_losses_of_the_point_are_those_of_keras_window_by_window() -> None:
    rng = np.random.default_rng(0)
    targets, quantiles = rng.normal(0, 3, (5, 4)), rng.normal(0, 1, (5, 4, 11))
    weights = np.array([1.0, 0.0, 2.0, 0.5, 1.0])
    error = (targets - quantiles[..., MEDIAN])[..., None]  # Keras takes the mean over the last axis
    absolute = keras.losses.MeanAbsoluteError(reduction=None)(error, 0 * error).numpy()
    turns = HUBER_TURN * np.sqrt([1, 2, 3, 4])
    smooth = [
        keras.losses.Huber(turn, reduction=None)(error[:, h], 0 * error[:, h]).numpy() / turn
        for h, turn in enumerate(turns)
    ]
    given = [array.astype(np.float32) for array in (targets, quantiles, weights)]
    assert float(mae(*given)) == pytest.approx((weights[:, None] * absolute).mean(), rel=1e-5)
    assert float(huber(*given)) == pytest.approx((weights * np.array(smooth)).mean(), rel=1e-5)


def test_a_panel_may_pick_each_loss_and_no_other() -> None:
    assert get_args(ModelSettings.model_fields["loss"].annotation) == tuple(LOSSES)


def test_a_model_is_another_one_with_another_loss() -> None:
    keys = [make_panel(loss=name).model_keys() for name in LOSSES]
    assert [key["model"].pop("loss") for key in keys] == list(LOSSES)
    assert keys[0] == keys[1] == keys[2] == make_panel().model_keys() | {"model": keys[0]["model"]}


# --- A fan that is moved ---------------------------------------------------------------------------------


def moved(numbers: np.ndarray, start: float = 0.0, horizon: int = 64) -> np.ndarray:
    """(horizon, 11) quantiles from a table from -5 to 5, for outputs of the network and of the regression."""
    fan = QuantileFan(horizon, moves=True)
    fan.build((None, KNOTS))
    fan.limit.assign(SHIFT_LIMIT)
    fan.table.assign(np.tile(np.linspace(-5, 5, 11), (horizon, 1)))
    starts = np.full((1, START_KNOTS), start, np.float32)
    quantiles: np.ndarray = fan((starts, numbers.astype(np.float32)[None])).numpy()[0]
    return quantiles


def test_zeros_leave_the_fan_where_it_is() -> None:
    np.testing.assert_allclose(moved(np.zeros(KNOTS), np.log(2)), [2 * np.linspace(-5, 5, 11)] * 64, 1e-6)


def test_a_fan_moves_as_a_whole_by_widths_of_a_walk_so_long() -> None:
    # Knots at steps 1, 4, 16 and 64; a window of twice the volatility moves twice as far.
    shifts = np.array([0.1, 0.1, -0.2, 0.3])
    fan = moved(SHIFT_LIMIT * np.arctanh(shifts / SHIFT_LIMIT), start=np.log(2))
    np.testing.assert_allclose(fan[[0, 3, 15, 63], MEDIAN], 2 * shifts * [1, 2, 4, 8], rtol=1e-5)
    np.testing.assert_allclose(fan - fan[:, [MEDIAN]], [2 * np.linspace(-5, 5, 11)] * 64, atol=1e-5)


@pytest.mark.parametrize("sign", [-1, 1])
def test_no_fan_is_moved_beyond_the_limit(sign: int) -> None:
    points = moved(np.full(KNOTS, sign * 1e9))[:, MEDIAN]
    np.testing.assert_allclose(points, sign * SHIFT_LIMIT * np.sqrt(np.arange(1, 65)), rtol=1e-5)


@pytest.mark.parametrize("size", [0.1, 1.0, 100.0, 1e6])
@pytest.mark.parametrize("seed", range(5))
def test_moved_quantiles_never_cross_whatever_the_weights(trained: Trained, size: float, seed: int) -> None:
    windows = trained.windows
    network = build_network(20, windows.features.shape[1], (4, 3), windows.horizon, moves=True)
    network.get_layer("fan").table.assign(VolatilityRegression.fit(windows, END).table)
    rng = np.random.default_rng(seed)
    for layer in (network.layers[-2], network.get_layer("start")):
        layer.set_weights([rng.normal(0, size, weights.shape) for weights in layer.get_weights()])
    quantiles = StackedLstm(network).predict(windows, np.flatnonzero(windows.has_context))
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=-1) >= 0).all()


# --- What is learnt --------------------------------------------------------------------------------------

PHI, DRIFT, SIGMA = 0.7, 0.1, 0.01


@dataclass(frozen=True)
class Learnt:
    """A network trained on autoregressive changes with a drift, and its forecasts of later windows.

    Attributes:
        quantiles: (W, 6, 11) of the change, in the noise's deviations.
        best: (W, 6) the best point, which is known.
        came: (W, 6) the change that came.
    """

    result: Fit
    quantiles: np.ndarray
    best: np.ndarray
    came: np.ndarray


def autoregressive_bars(series: int = 8, count: int = 2500) -> tuple[Bars, np.ndarray]:
    """Create bars, and return their changes without the drift, in standard deviations of the noise."""
    rng = np.random.default_rng(1)
    excess = np.zeros((series, count))
    for at in range(1, count):
        excess[:, at] = PHI * excess[:, at - 1] + rng.normal(size=series)
    bars = Bars(
        ids=tuple("abcdefgh"[:series]),
        offsets=np.arange(series + 1) * count,
        ds=np.tile(START + np.arange(count) * np.timedelta64(1, "D"), series),
        y=np.exp(SIGMA * (DRIFT + excess).cumsum(axis=1)).ravel(),
    )
    return bars, excess.ravel()


@pytest.fixture(scope="module", params=OF_POINT)
def learnt(request: pytest.FixtureRequest) -> Learnt:
    bars, excess = autoregressive_bars()
    panel = make_panel(context=10, units=[32, 16], training_steps=800, batch_size=64, loss=request.param)
    windows = build_windows(panel, bars, panel.calendar)
    end = START + np.timedelta64(1200, "D")
    network, state, result = train(windows, end, panel, silent)
    origins = windows.after(end)
    h = np.arange(1, windows.horizon + 1)
    best = DRIFT * h + PHI * (1 - PHI**h) / (1 - PHI) * excess[origins, None]
    quantiles = load(network, state).predict(windows, origins) / SIGMA
    return Learnt(result, quantiles, best, windows.targets(origins) / SIGMA)


def test_it_moves_the_point_towards_the_best_one(learnt: Learnt) -> None:
    points = learnt.quantiles[..., MEDIAN]
    assert learnt.result.best_step > 0
    assert np.corrcoef(points[:, 0], learnt.best[:, 0])[0, 1] > 0.7
    assert np.abs(points - learnt.best).mean() < 0.85 * np.abs(learnt.best).mean()


@pytest.mark.parametrize(("low", "high", "share"), [(0, 10, 0.9), (1, 9, 0.8), (3, 7, 0.4)])
def test_the_intervals_around_it_cover(learnt: Learnt, low: int, high: int, share: float) -> None:
    inside = (learnt.quantiles[..., low] <= learnt.came) & (learnt.came <= learnt.quantiles[..., high])
    assert inside.mean() == pytest.approx(share, abs=0.03)


# --- Whence the width ------------------------------------------------------------------------------------


def trained_on(series: int, loss: str) -> tuple[np.ndarray, Fit, np.ndarray]:
    """Train briefly; return the network's table, the course of the training and the initial table."""
    bars, _ = autoregressive_bars(series, 400)
    panel = make_panel(loss=loss)
    windows = build_windows(panel, bars, panel.calendar)
    network, _, result = train(windows, END, panel, silent)
    start = VolatilityRegression.fit(windows, END).table.astype(np.float32)
    return network.get_layer("fan").table.numpy(), result, start


@pytest.mark.parametrize(
    ("series", "loss", "own"), [(8, "mae", True), (1, "mae", False), (8, "pinball", False)]
)
def test_a_point_takes_its_width_from_held_out_windows_if_these_are_enough(
    series: int, loss: str, own: bool
) -> None:
    table, result, start = trained_on(series, loss)
    assert result.best_step > 0
    assert np.array_equal(table, start) is not own
    assert np.array_equal(table, -table[:, ::-1]) is own  # as likely above as below


# Keras 3.15 saves variables with a feature that numpy 2.4 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("name", OF_POINT)
def test_a_saved_network_forecasts_the_same_bits(trained: Trained, tmp_path: Path, name: str) -> None:
    panel = make_panel(loss=name)
    network, state, _ = train(trained.windows, END, panel, silent)
    network.save(tmp_path / "model.keras")
    loaded = load_network(panel, (tmp_path / "model.keras").read_bytes(), state)
    expected = load(network, state).predict(trained.windows, trained.bars.last)
    np.testing.assert_array_equal(loaded.predict(trained.windows, trained.bars.last), expected)
    assert loaded.name == "stacked_lstm"
