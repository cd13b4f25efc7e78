import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.quantiles import LEVELS
from forecasting.reports.odds import odds_below, odds_columns, odds_heading

MINUS = "\N{MINUS SIGN}"
prices = st.floats(-1e6, 1e6).map(lambda price: round(price, 3))
fans = st.lists(prices, min_size=11, max_size=11).map(lambda found: np.sort(found)[None])
levels = st.lists(prices, min_size=1, max_size=8).map(np.sort)


@given(fans, levels)
def test_odds_are_probabilities_that_grow_with_the_level(fan: np.ndarray, at: np.ndarray) -> None:
    odds = odds_below(fan, at)[0]
    assert ((odds >= 0) & (odds <= 1)).all()
    assert (np.diff(odds) >= -1e-15).all()


@given(fans, st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_odds_below_and_above_two_levels_are_at_most_one(fan: np.ndarray, low: float, size: float) -> None:
    below, up_to_high = odds_below(fan, np.array([low, low + size]))[0]
    assert below + (1 - up_to_high) <= 1 + 1e-15


@given(st.lists(prices, min_size=11, max_size=11, unique=True).map(np.sort))
def test_odds_at_the_quantiles_are_their_levels(fan: np.ndarray) -> None:
    np.testing.assert_allclose(odds_below(fan[None], fan)[0], LEVELS, atol=1e-12)


@given(fans, st.floats(0.1, 10), prices, levels)
def test_odds_do_not_depend_on_units(fan: np.ndarray, unit: float, start: float, at: np.ndarray) -> None:
    # Levels away from the quantiles: rounding must not move one to the other side of equal quantiles.
    at = at[(np.abs(at[:, None] - fan) > 1e-2).all(axis=1)]
    moved = odds_below(start + unit * fan, start + unit * at)
    np.testing.assert_allclose(moved, odds_below(fan, at), atol=1e-3)


@pytest.mark.parametrize("normal", [NormalDist(), NormalDist(1.08, 0.04), NormalDist(-36, 12)])
def test_odds_of_a_normal_distribution_are_exact_between_the_outermost_quantiles(normal: NormalDist) -> None:
    fan = np.array([[normal.inv_cdf(level) for level in LEVELS]])
    at = normal.mean + normal.stdev * np.array([-1.6, -1, -0.3, 0, 0.1, 0.9, 1.64])
    expected = [normal.cdf(level) for level in at]
    np.testing.assert_allclose(odds_below(fan, at)[0], expected, rtol=1e-9)


def test_odds_of_an_exponential_distribution_are_exact_in_its_tail() -> None:
    fan = -np.log(1 - LEVELS)[None]
    at = np.array([3.0, 4.0, 6.0, 12.0])
    np.testing.assert_allclose(1 - odds_below(fan, at)[0], np.exp(-at), rtol=1e-9)


def test_odds_halve_with_each_distance_between_the_outermost_quantiles() -> None:
    fan = np.array([[-8, -6, *range(-3, 4), 5, 8]], dtype=float)
    odds = odds_below(fan, np.array([-12.0, -10.0, -8.0, 8.0, 11.0, 14.0]))[0]
    np.testing.assert_allclose(odds, [0.0125, 0.025, 0.05, 0.95, 0.975, 0.9875])


def cauchy(level: float) -> float:
    return 0.5 + math.atan(level) / math.pi


def student_3(level: float) -> float:
    """The distribution function of Student's t with three degrees of freedom, in closed form."""
    at = level / math.sqrt(3)
    return 0.5 + (at / (1 + at * at) + math.atan(at)) / math.pi


def inverse(distribution: Callable[[float], float], level: float) -> float:
    low, high = -1e4, 1e4
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if distribution(middle) < level else (low, middle)
    return low


@pytest.mark.parametrize(
    ("distribution", "inside", "outside"),
    [(NormalDist().cdf, 1e-9, 0.005), (student_3, 0.005, 0.005), (cauchy, 0.02, 0.05)],
    ids=["normal", "t3", "t1"],
)
def test_odds_of_light_and_heavy_tails_are_close(
    distribution: Callable[[float], float], inside: float, outside: float
) -> None:
    fan = np.array([[inverse(distribution, level) for level in LEVELS]])
    within = np.linspace(fan[0, 0], fan[0, -1], 101)
    expected = np.array([distribution(level) for level in within])
    assert np.abs(odds_below(fan, within)[0] - expected).max() < inside
    beyond = fan[0, 0] * np.linspace(1, 4, 50)[::-1]
    expected = np.array([distribution(level) for level in beyond])
    assert np.abs(odds_below(fan, beyond)[0] - expected).max() < outside


def test_a_price_that_cannot_move_is_at_its_level_for_certain() -> None:
    odds = odds_below(np.full((1, 11), 2.0), np.array([1.9, 2.0, 2.1]))
    assert odds.tolist() == [[0.0, 1.0, 1.0]]


def test_equal_quantiles_have_all_their_probability_at_one_point() -> None:
    fan = np.array([[1, 1, 2, 3, 4, 5, 5, 5, 6, 7, 7]], dtype=float)
    odds = odds_below(fan, np.array([0.99, 1, 4.99999999, 5, 6.99999999, 7]))[0]
    np.testing.assert_allclose(odds, [0, 0.1, 0.5, 0.7, 0.9, 1], atol=1e-6)


def test_each_series_has_its_own_odds() -> None:
    fans = np.array([[NormalDist(mean).inv_cdf(level) for level in LEVELS] for mean in (0, 1)])
    odds = odds_below(fans, np.array([0.0, 1.0]))
    np.testing.assert_allclose(odds, [[0.5, 0.841345], [0.158655, 0.5]], atol=1e-6)


def test_columns_go_from_the_lowest_level_to_the_highest() -> None:
    columns = odds_columns((0.01, 0.07, 0.1), relative=True)
    assert columns == ["below_10pct", "below_7pct", "below_1pct", "above_1pct", "above_7pct", "above_10pct"]
    assert [odds_heading(column) for column in columns] == [
        *(f"< {MINUS}10%", f"< {MINUS}7%", f"< {MINUS}1%", "> +1%", "> +7%", "> +10%")
    ]


def test_price_units_have_no_percent_sign() -> None:
    columns = odds_columns((0.0000001, 1500.0), relative=False)
    assert columns == ["below_1500", "below_0_0000001", "above_0_0000001", "above_1500"]
    assert [odds_heading(column) for column in columns][1:3] == [f"< {MINUS}0.0000001", "> +0.0000001"]


def test_no_levels_have_no_columns() -> None:
    assert odds_columns((), relative=False) == []
    assert odds_below(np.ones((2, 11)), np.array([])).shape == (2, 0)
