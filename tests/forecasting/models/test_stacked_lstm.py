"""The stacked LSTM, trained in the test's own process."""

from dataclasses import replace

import numpy as np
import pytest

from forecasting.models.baselines import EwmaWalk
from forecasting.models.stacked_lstm import (
    KNOTS,
    STRETCH_LIMIT,
    OriginScale,
    QuantileFan,
    StackedLstm,
    begin_at,
    build_network,
    load,
    train,
)
from forecasting.models.training import load_network
from forecasting.models.volatility import KNOTS as START_KNOTS
from forecasting.models.volatility import VolatilityRegression
from forecasting.models.windows import LOG_SCALE, VOLATILITIES, Windows, build_windows
from forecasting.prices.bars import Bars
from forecasting.progress import silent
from forecasting.quantiles import MEDIAN
from tests.forecasting.models.conftest import END, START, Trained, make_panel


@pytest.fixture(scope="module")
def walk(trained: Trained) -> VolatilityRegression:
    return VolatilityRegression.fit(trained.windows, END)


def still(windows: int) -> np.ndarray:
    """Outputs of the regression that leave the table unchanged."""
    return np.zeros((windows, START_KNOTS), np.float32)


def untrained(windows: Windows, walk: VolatilityRegression) -> StackedLstm:
    network = build_network(20, windows.features.shape[1], (4, 3), windows.horizon)
    begin_at(network, walk, len(windows.before(END)))
    return StackedLstm(network)


@pytest.mark.parametrize(("windows", "limit"), [(0, 0.0), (72 * 30, 0.15), (72 * 3000, 0.297)])
def test_few_windows_allow_small_corrections(windows: int, limit: float) -> None:
    network = build_network(20, 7, (4, 3), 72)
    walk = VolatilityRegression(np.zeros((VOLATILITIES, START_KNOTS)), np.zeros((72, 11)))
    begin_at(network, walk, windows)
    assert float(network.get_layer("fan").limit) == pytest.approx(limit, abs=2e-4)


def test_it_begins_at_the_volatility_regression(trained: Trained, walk: VolatilityRegression) -> None:
    origins = np.flatnonzero(trained.windows.has_context)
    start = untrained(trained.windows, walk).predict(trained.windows, origins)
    np.testing.assert_allclose(start, walk.predict(trained.windows, origins), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("size", [0.1, 1.0, 100.0, 1e6])
@pytest.mark.parametrize("seed", range(5))
def test_quantiles_never_cross_whatever_the_weights(
    trained: Trained, walk: VolatilityRegression, size: float, seed: int
) -> None:
    model = untrained(trained.windows, walk)
    rng = np.random.default_rng(seed)
    network = model._network  # noqa: SLF001 - to set weights that training would never reach
    dense = network.get_layer("correction")
    dense.set_weights([rng.normal(0, size, weights.shape) for weights in dense.get_weights()])
    quantiles = model.predict(trained.windows, np.flatnonzero(trained.windows.has_context))
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=-1) >= 0).all()


def test_a_trained_network_has_left_its_start_or_kept_it(
    trained: Trained, walk: VolatilityRegression
) -> None:
    origins = np.flatnonzero(trained.windows.has_context)
    loaded = load_network(trained.panel, trained.network.model_bytes, trained.network.state)
    moved = np.abs(loaded.predict(trained.windows, origins) - walk.predict(trained.windows, origins)).max()
    assert (moved > 1e-5) == (trained.network.facts["best_step"] > 0)


def test_forecasts_scale_with_the_window(trained: Trained) -> None:
    origins = np.flatnonzero(trained.windows.has_context)
    loaded = load_network(trained.panel, trained.network.model_bytes, trained.network.state)
    quantiles = loaded.predict(trained.windows, origins)
    assert quantiles.shape == (len(origins), 6, 11)
    width = (quantiles[:, -1, -1] - quantiles[:, -1, 0]) / trained.windows.scale[origins]
    assert 1 < width.min() < width.max() < 30  # a root-h walk has about 2 x 1.64 x sqrt(6) = 8


def test_the_point_forecast_is_the_last_value(trained: Trained) -> None:
    origins = np.flatnonzero(trained.windows.has_context)
    loaded = load_network(trained.panel, trained.network.model_bytes, trained.network.state)
    assert (loaded.predict(trained.windows, origins)[:, :, MEDIAN] == 0).all()


def test_a_context_counts_in_scales_of_its_origin(trained: Trained) -> None:
    windows, origin = trained.windows, 300
    steps = slice(origin - 19, origin + 1)
    scaled = OriginScale()(windows.contexts(np.array([origin]))).numpy()[0]
    changes = np.diff(np.log(trained.bars.y))[origin - 20 : origin]
    assert scaled[:, 0] == pytest.approx(changes / windows.scale[origin], rel=1e-4)
    assert scaled[:, LOG_SCALE] == pytest.approx(
        np.log(windows.scale[steps] / windows.scale[origin]), abs=1e-4
    )
    assert scaled[-1, LOG_SCALE] == 0


def test_forecasts_do_not_depend_on_the_size_of_prices_or_moves(trained: Trained) -> None:
    bars = replace(trained.bars, y=1e5 * trained.bars.y**4)
    larger = build_windows(trained.panel, bars, trained.panel.calendar)
    origins = np.flatnonzero(larger.has_context)
    scaled, same = (OriginScale()(windows.contexts(origins)) for windows in (trained.windows, larger))
    np.testing.assert_allclose(scaled, same, atol=1e-3)


def test_what_is_extreme_in_a_context_is_cut() -> None:
    contexts = np.array([[[1e9, -700.0, 3.0, 4.0, 5.0, 6.0, 0.5], [-1e9, 0.0, 0.0, 0.0, 0.0, 30.0, -0.5]]])
    by_hand = [[[8.0, -8.0, 3.0, 4.0, 5.0, 6.0, 0.5], [-8.0, 0.0, 0.0, 0.0, 0.0, 8.0, -0.5]]]
    np.testing.assert_array_equal(OriginScale()(contexts.astype(np.float32)), by_hand)


def test_numbers_stretch_the_fan_at_their_knots_and_in_between() -> None:
    fan = QuantileFan(64)
    fan.build([(None, START_KNOTS), (None, KNOTS)])
    fan.limit.assign(STRETCH_LIMIT)
    fan.table.assign(np.tile(np.linspace(-5, 5, 11), (64, 1)))
    # Knots at steps 1, 4, 16 and 64: the last two widen the fan by a fifth.
    numbers = STRETCH_LIMIT * np.arctanh(np.log([[1.0, 1.0, 1.2, 1.2]]) / STRETCH_LIMIT)
    factors = fan([still(1), numbers.astype(np.float32)]).numpy()[0, :, -1] / 5
    np.testing.assert_allclose(factors[[0, 3, 15, 31, 63]], [1, 1, 1.2, 1.2, 1.2], rtol=1e-5)
    assert (np.diff(factors[3:16]) > 0).all()


@pytest.mark.parametrize(("number", "factor"), [(1e9, np.exp(STRETCH_LIMIT)), (-1e9, np.exp(-STRETCH_LIMIT))])
def test_no_fan_is_stretched_beyond_the_limit(number: float, factor: float) -> None:
    fan = QuantileFan(6)
    fan.build([(None, START_KNOTS), (None, KNOTS)])
    fan.limit.assign(STRETCH_LIMIT)
    fan.table.assign(np.ones((6, 11)))
    np.testing.assert_allclose(
        fan([still(1), np.full((1, KNOTS), number, np.float32)]), np.full((1, 6, 11), factor), 1e-6
    )


def test_it_learns_which_volatility_lasts() -> None:
    """Calm series in which one bar in 40 is a shock of ten times the usual size, without an after-effect.

    After a shock the EWMA walk is far too wide; how wide is right is known.
    """
    rng = np.random.default_rng(1)
    changes = 0.01 * rng.normal(size=(8, 1500)) * np.where(rng.random((8, 1500)) < 1 / 40, 10, 1)
    bars = Bars(
        ids=tuple("abcdefgh"),
        offsets=np.arange(9) * 1500,
        ds=np.tile(START + np.arange(1500) * np.timedelta64(1, "D"), 8),
        y=np.exp(changes.cumsum(axis=1)).ravel(),
    )
    panel = make_panel(units=[32, 16], training_steps=400, batch_size=256)
    windows = build_windows(panel, bars, panel.calendar)
    end = START + np.timedelta64(1200, "D")
    network, state, result = train(windows, end, panel, silent)
    origins = windows.after(end)
    widths = load(network, state).predict(windows, origins)[:, 0, -2] / 0.01
    walk = EwmaWalk.fit(windows, end).predict(windows, origins)[:, 0, -2] / 0.01
    known = 1.334  # 90% of N(0, 1), or one time in 40 of N(0, 10), lie below
    assert result.best_step > 0
    assert np.abs(widths - known).mean() < 0.7 * np.abs(walk - known).mean()
