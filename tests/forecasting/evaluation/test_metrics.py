import warnings

import numpy as np
import pandas as pd
import pytest

from forecasting.evaluation import metrics
from forecasting.quantiles import COLUMNS, LEVELS

with warnings.catch_warnings():
    # Its docstrings contain invalid escape sequences, which give warnings when they are compiled.
    warnings.simplefilter("ignore")
    from utilsforecast import losses


@pytest.fixture
def forecasts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Past (3, 40), actual (3, 7) and quantile (3, 7, 11) prices of three series."""
    rng = np.random.default_rng(0)
    prices = 100 + rng.normal(size=(3, 47)).cumsum(axis=1)
    quantiles = prices[:, 39, None, None] + np.sort(2 * rng.normal(size=(3, 7, 11)), axis=-1)
    return prices[:, :40], prices[:, 40:], quantiles


def as_frames(past: np.ndarray, y: np.ndarray, quantiles: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return forecasts and training data in the format of utilsforecast."""
    forecast = pd.DataFrame(quantiles.reshape(-1, 11), columns=list(COLUMNS))
    forecast = forecast.assign(
        unique_id=np.repeat([0, 1, 2], 7), ds=np.tile(np.arange(40, 47), 3), y=y.ravel()
    )
    train = pd.DataFrame(
        {"unique_id": np.repeat([0, 1, 2], 40), "ds": np.tile(np.arange(40), 3), "y": past.ravel()}
    )
    return forecast, train


def in_sample(past: np.ndarray) -> np.ndarray:
    series = np.repeat(np.arange(len(past)), past.shape[1])
    return metrics.in_sample_change(past.ravel(), series)[past.shape[1] - 1 :: past.shape[1]]


def test_in_sample_change_is_the_mean_absolute_step_of_the_series_so_far() -> None:
    y = np.array([1.0, 3.0, 2.0, 100.0, 104.0])
    change = metrics.in_sample_change(y, np.array([0, 0, 0, 1, 1]))
    np.testing.assert_array_equal(change, [np.nan, 2, 1.5, np.nan, 4])


def test_scaled_quantile_loss_by_hand() -> None:
    # y is 1 above every quantile: the pinball loss is the level. The levels' mean is 1/2; twice that is 1,
    # over 4.
    quantiles = np.zeros((1, 2, 11))
    assert metrics.scaled_quantile_loss(np.ones((1, 2)), quantiles, np.array([4.0])) == pytest.approx(0.25)


def test_scaled_quantile_loss_punishes_a_low_quantile_that_is_too_high() -> None:
    # Ten quantiles are right, and q05 is 2 above y: 2 x 0.95 x 2 / 11.
    quantiles = np.zeros((1, 1, 11))
    quantiles[..., 0] = 2
    assert metrics.scaled_quantile_loss(np.zeros((1, 1)), quantiles, np.ones(1)) == pytest.approx(3.8 / 11)


def test_scaled_quantile_loss_agrees_with_utilsforecast(
    forecasts: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    past, y, quantiles = forecasts
    forecast, train = as_frames(*forecasts)
    theirs = losses.scaled_mqloss(forecast, {"model": list(COLUMNS)}, LEVELS, 1, train)["model"]
    ours = metrics.scaled_quantile_loss(y, quantiles, in_sample(past))
    np.testing.assert_allclose(ours, 2 * theirs, rtol=1e-12)


def test_mase_agrees_with_utilsforecast(forecasts: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    past, y, quantiles = forecasts
    forecast, train = as_frames(*forecasts)
    theirs = losses.mase(forecast, ["q50"], 1, train)["q50"]
    np.testing.assert_allclose(metrics.mase(y, quantiles[..., 5], in_sample(past)), theirs, rtol=1e-12)


@pytest.mark.parametrize(("percent", "lower", "upper"), [(80, "q10", "q90"), (90, "q05", "q95")])
def test_coverage_agrees_with_utilsforecast(
    forecasts: tuple[np.ndarray, np.ndarray, np.ndarray], percent: int, lower: str, upper: str
) -> None:
    _, y, quantiles = forecasts
    forecast, _ = as_frames(*forecasts)
    forecast = forecast.rename(columns={lower: f"m-lo-{percent}", upper: f"m-hi-{percent}"})
    theirs = losses.coverage(forecast, ["m"], percent)["m"]
    np.testing.assert_allclose(metrics.coverage(y, quantiles, percent), theirs)


def test_coverage_counts_both_ends_in() -> None:
    quantiles = np.tile(np.arange(11.0), (1, 4, 1))
    y = np.array([[0.0, 1.0, 9.0, 9.5]])
    assert metrics.coverage(y, quantiles, 80) == 0.5


def test_ratios_by_hand() -> None:
    loss, walk = np.array([1.0, 8.0]), np.array([2.0, 4.0])
    assert metrics.geometric_ratio(loss, walk) == pytest.approx(1)
    assert metrics.arithmetic_ratio(loss, walk) == pytest.approx(1.5)
    assert metrics.skill(np.array([1.0, 1.0]), walk) == pytest.approx(1 - 8**-0.5)


def test_the_geometric_ratio_leaves_out_series_on_which_the_reference_loses_nothing() -> None:
    assert metrics.geometric_ratio(np.array([1.0, 8.0]), np.array([2.0, 0.0])) == pytest.approx(0.5)


def test_there_is_no_ratio_to_nothing() -> None:
    nothing = np.zeros(2)
    assert np.isnan(
        [metrics.geometric_ratio(nothing, nothing), metrics.arithmetic_ratio(nothing, nothing)]
    ).all()
