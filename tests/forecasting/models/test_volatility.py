from dataclasses import replace

import numpy as np
import pytest

from forecasting.errors import ModelError
from forecasting.models.baselines import EwmaWalk
from forecasting.models.volatility import KNOTS, VolatilityRegression, interpolation, knot_steps
from forecasting.models.windows import LOG_SCALE, VOLATILITIES, Windows, build_windows
from forecasting.prices.bars import Bars
from forecasting.quantiles import LEVELS, MEDIAN
from tests.forecasting.models.conftest import START, make_panel

DAY = np.timedelta64(1, "D")
SERIES, LENGTH = 6, 1200
END = START + 900 * DAY


def simulated(changes: np.ndarray) -> Windows:
    """Create the windows of series with these changes (S, N) of the log price."""
    series, length = changes.shape
    bars = Bars(
        ids=tuple("abcdefgh"[:series]),
        offsets=np.arange(series + 1) * length,
        ds=np.tile(START + np.arange(length) * DAY, series),
        y=np.exp(changes.cumsum(axis=1)).ravel(),
    )
    panel = make_panel()
    return build_windows(panel, bars, panel.calendar)


@pytest.fixture(scope="module")
def shocked() -> Windows:
    """Calm series in which one bar in 40 is a shock of ten times the usual size, without an after-effect."""
    rng = np.random.default_rng(1)
    sizes = np.where(rng.random((SERIES, LENGTH)) < 1 / 40, 0.1, 0.01)
    return simulated(sizes * rng.normal(size=(SERIES, LENGTH)))


def test_knots_lie_evenly_in_the_logarithm_of_the_step() -> None:
    assert knot_steps(72).tolist() == [1, 2, 3, 6, 12, 21, 39, 72]
    assert interpolation(64, 4)[:, [0, 1, 3, 15, 63]].T.tolist() == [
        [1, 0, 0, 0],
        [0.5, 0.5, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
    ]


def test_a_horizon_of_one_has_one_knot_that_counts() -> None:
    assert interpolation(1, KNOTS)[:, 0].tolist() == [1, *[0] * (KNOTS - 1)]


def test_weights_forecast_as_those_of_ordinary_least_squares(shocked: Windows) -> None:
    """One step ahead, against numpy's solver on arrays built here; the ridge adds a few thousandths."""
    bars = shocked.bars
    origins = np.flatnonzero((shocked.scale > 0) & (bars.ds < END) & (bars.ds < bars.ds[-1]))
    logs = np.log(
        [
            np.exp(shocked.features[origins, LOG_SCALE + at].astype(float)) / shocked.scale[origins]
            for at in range(1, VOLATILITIES)
        ]
    )
    size = np.abs(shocked.level[origins + 1] - shocked.level[origins])
    least = 0.05 * np.exp(shocked.features[origins, LOG_SCALE + VOLATILITIES - 1].astype(float))
    target = np.log(np.maximum(size, least) / shocked.scale[origins])
    inputs = np.vstack([np.ones(len(origins)), logs]).T
    expected = inputs @ np.linalg.lstsq(inputs, target, rcond=None)[0]
    found = inputs @ VolatilityRegression.fit(shocked, END).weights[:, 0]
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert expected.std() > 0.1


def test_after_a_shock_that_does_not_last_the_fan_is_narrower_than_the_ewma_walks(shocked: Windows) -> None:
    origins = shocked.after(END)
    narrow = VolatilityRegression.fit(shocked, END).predict(shocked, origins)[:, 0, -2] / 0.01
    wide = EwmaWalk.fit(shocked, END).predict(shocked, origins)[:, 0, -2] / 0.01
    known = 1.334  # 90% of N(0, 1), or one time in 40 of N(0, 10), lie below
    assert np.abs(narrow - known).mean() < 0.7 * np.abs(wide - known).mean()


def test_intervals_cover_what_they_say(shocked: Windows) -> None:
    origins = shocked.after(END)
    quantiles = VolatilityRegression.fit(shocked, END).predict(shocked, origins)
    below = (shocked.targets(origins)[..., None] < quantiles).mean(axis=(0, 1))
    np.testing.assert_allclose(below, LEVELS, atol=0.03)


def test_quantiles_are_in_order_around_no_change(shocked: Windows) -> None:
    quantiles = VolatilityRegression.fit(shocked, END).predict(shocked, np.flatnonzero(shocked.scale > 0))
    assert (np.diff(quantiles, axis=-1) >= 0).all()
    assert (quantiles[..., MEDIAN] == 0).all()


def test_bars_after_the_end_change_nothing(shocked: Windows) -> None:
    bars = shocked.bars
    other = replace(bars, y=np.where(bars.ds > END, bars.y**3, bars.y))
    panel = make_panel()
    changed = VolatilityRegression.fit(build_windows(panel, other, panel.calendar), END)
    same = VolatilityRegression.fit(shocked, END)
    np.testing.assert_array_equal(changed.weights, same.weights)
    np.testing.assert_array_equal(changed.table, same.table)


def test_a_history_shorter_than_the_horizon_will_do() -> None:
    few = simulated(np.random.default_rng(0).normal(0, 0.01, (2, 5)))
    quantiles = VolatilityRegression.fit(few, START + 5 * DAY).predict(few, few.bars.last)
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles[:, -1]) >= 0).all()


def test_prices_that_never_move_teach_nothing() -> None:
    with pytest.raises(ModelError, match="no price changes before 2"):
        VolatilityRegression.fit(simulated(np.zeros((2, 50))), END)
