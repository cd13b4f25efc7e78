import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasting.models import fan
from forecasting.quantiles import LEVELS, MEDIAN

STEPS = np.array([1, 7, 72, 250])
NUMBERS = arrays(np.float32, (2, fan.CURVES * fan.KNOTS), elements=st.floats(-50, 50, width=32))


def numbers(width: float = 0, tails: float = 0, middle: float = 0, skew: float = 0) -> np.ndarray:
    """The same value at all knots of each curve."""
    return np.repeat(np.float32([width, tails, middle, skew]), fan.KNOTS)[None]


@given(NUMBERS)
def test_quantiles_never_cross_whatever_a_network_says(said: np.ndarray) -> None:
    found = fan.quantiles(said, STEPS)
    assert np.isfinite(found).all()
    assert (np.diff(found) >= 0).all()


def test_zeros_give_a_symmetric_walk_as_wide_as_the_scale() -> None:
    found = fan.quantiles(numbers(), STEPS)[0]
    assert found[:, MEDIAN].tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(found, -found[:, ::-1], atol=1e-5)
    np.testing.assert_allclose(found[:, -1] / found[0, -1], np.sqrt(STEPS), rtol=1e-5)


def test_light_tails_are_those_of_a_normal_distribution() -> None:
    found = fan.quantiles(numbers(tails=-10), np.array([1]))[0, 0]
    known = [-1.6449, -1.2816, -0.8416, -0.5244, -0.2533, 0, 0.2533, 0.5244, 0.8416, 1.2816, 1.6449]
    assert found == pytest.approx(known, abs=3e-4)


def test_width_stretches_the_whole_fan() -> None:
    narrow, wide = (fan.quantiles(numbers(width=width), STEPS) for width in (0, np.log(2)))
    np.testing.assert_allclose(wide, 2 * narrow, rtol=1e-5)
    np.testing.assert_allclose(fan.widths(numbers(width=np.log(2)), STEPS), 2, rtol=1e-5)


def test_skew_stretches_rises_and_shrinks_falls() -> None:
    found = fan.quantiles(numbers(skew=0.5), np.array([1]))[0, 0]
    assert found[-1] / -found[0] == pytest.approx(np.exp(1.6 * np.tanh(0.5)), rel=1e-4)
    assert found[MEDIAN] == 0


def test_the_middle_moves_all_quantiles_alike() -> None:
    still, moved = (fan.quantiles(numbers(middle=middle), STEPS) for middle in (0, 1))
    np.testing.assert_allclose((moved - still) / np.sqrt(STEPS)[:, None], 0.3, rtol=1e-4)


def test_knots_lie_evenly_in_the_logarithm_of_the_step() -> None:
    knots = np.geomspace(1, fan.LONGEST_HORIZON, fan.KNOTS)
    np.testing.assert_allclose(fan.interpolation(knots), np.eye(fan.KNOTS), atol=1e-6)
    np.testing.assert_allclose(fan.interpolation(np.arange(1, 251)).sum(axis=0), 1, atol=1e-6)


def test_levels_are_those_of_the_forecast() -> None:
    assert fan.quantiles(numbers(), STEPS).shape == (1, len(STEPS), len(LEVELS))
