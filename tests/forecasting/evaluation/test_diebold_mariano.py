from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from forecasting.evaluation.diebold_mariano import (
    DieboldMariano,
    choose_lag,
    diebold_mariano,
    run_tests,
    standard_error,
    student_p_value,
)

MakeLosses = Callable[..., pd.DataFrame]


@pytest.fixture
def make_losses() -> MakeLosses:
    def make(**by_candidate: list[list[float]]) -> pd.DataFrame:
        """Create the losses of each candidate from one row of series per date."""
        rows = [
            {
                "candidate": name,
                "as_of": np.datetime64("2020-01-01") + date,
                "unique_id": f"s{series}",
                "scaled_quantile_loss": loss,
            }
            for name, dates in by_candidate.items()
            for date, row in enumerate(dates)
            for series, loss in enumerate(row)
        ]
        return pd.DataFrame(rows)

    return make


def noisy(dates: int, mean: float, seed: int = 0) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    return [[mean + value] for value in rng.normal(scale=0.1, size=dates)]


# Critical values of Student's t from a printed table: two-sided, at 5% and at 1%.
@pytest.mark.parametrize(
    ("statistic", "freedom", "p_value"),
    [
        (12.706, 1, 0.05),
        (4.303, 2, 0.05),
        (3.182, 3, 0.05),
        (2.776, 4, 0.05),
        (2.201, 11, 0.05),
        (-2.201, 11, 0.05),
        (1.984, 100, 0.05),
        (3.106, 11, 0.01),
        (2.626, 100, 0.01),
        (0.0, 7, 1.0),
    ],
)
def test_p_values_are_those_of_the_printed_tables(statistic: float, freedom: int, p_value: float) -> None:
    assert student_p_value(statistic, freedom) == pytest.approx(p_value, rel=3e-3)


@pytest.mark.parametrize("freedom", [7, 8])
def test_p_values_are_the_integral_of_the_density(freedom: int) -> None:
    x = np.linspace(-1.5, 1.5, 20_001)
    density = (1 + x**2 / freedom) ** (-(freedom + 1) / 2)
    far = np.linspace(-4000, 4000, 4_000_001)
    whole = np.trapezoid((1 + far**2 / freedom) ** (-(freedom + 1) / 2), far)
    assert student_p_value(1.5, freedom) == pytest.approx(1 - np.trapezoid(density, x) / whole, rel=1e-6)


def test_a_standard_error_without_lags_is_the_usual_one() -> None:
    # Of 1 2 3 4 5: variance 2.5 with n - 1, so sqrt(2.5 / 5).
    assert standard_error(np.arange(1.0, 6.0), 0) == pytest.approx(np.sqrt(0.5))


def test_a_standard_error_with_a_lag_worked_by_hand() -> None:
    # 1 2 3 4 5: autocovariances 10/5 and (2 + 0 + 0 + 2)/5; Bartlett's weight at lag 1 of 1 is 1/2, so
    # 2 + 2 * 0.8 / 2 = 2.8. The correction, with h = 2: (5 + 1 - 4 + 2/5) / 5 = 0.48.
    assert standard_error(np.arange(1.0, 6.0), 1) == pytest.approx(np.sqrt(2.8 / 5 / 0.48))


def test_a_standard_error_is_that_of_the_formula_term_by_term() -> None:
    d = np.random.default_rng(3).normal(size=40).cumsum()
    t, lag, mean = len(d), 5, sum(d) / len(d)
    variance = 0.0
    for i in range(t):
        for j in range(t):
            weight = max(0.0, 1 - abs(i - j) / (lag + 1))
            variance += weight * (d[i] - mean) * (d[j] - mean) / t**2
    h = lag + 1
    factor = (t + 1 - 2 * h + h * (h - 1) / t) / t
    assert standard_error(d, lag) == pytest.approx((variance / factor) ** 0.5)


@pytest.mark.parametrize(
    ("dates", "overlap", "lag"),
    [(12, 1, 2), (107, 1, 4), (107, 3, 6), (100, 7, 18), (1, 1, 0), (3, 5, 2)],
)
def test_the_lag_follows_from_the_overlap_of_targets_and_the_number_of_dates(
    dates: int, overlap: int, lag: int
) -> None:
    assert choose_lag(dates, overlap) == lag


def test_a_difference_is_a_share_of_each_series_random_walk_loss(make_losses: MakeLosses) -> None:
    losses = make_losses(
        model=[[1.0, 30.0], [2.0, 10.0]], ewma_walk=[[2.0, 20.0]] * 2, random_walk=[[1.0, 10.0], [3.0, 30.0]]
    )
    # By date: the mean of -1/2 and +10/20, which is 0; and of 0/2 and -10/20, which is -1/4.
    test = diebold_mariano(losses, "model", "ewma_walk", 1)
    assert test.difference == pytest.approx(-0.125)
    assert test.dates == 2


def test_a_series_on_which_the_random_walk_loses_nothing_is_left_out(make_losses: MakeLosses) -> None:
    losses = make_losses(model=[[1.0, 5.0]], random_walk=[[2.0, 0.0]])
    assert diebold_mariano(losses, "model", "random_walk", 1).difference == pytest.approx(-0.5)


def test_the_statistic_is_the_difference_in_standard_errors(make_losses: MakeLosses) -> None:
    losses = make_losses(model=noisy(20, 0.9), random_walk=[[1.0]] * 20)
    test = diebold_mariano(losses, "model", "random_walk", 1)
    difference = np.ravel(noisy(20, -0.1))
    error = standard_error(difference, 2)
    assert test.standard_error == pytest.approx(error)
    assert test.statistic == pytest.approx(difference.mean() / error)
    assert test.p_value == student_p_value(test.statistic, 19)


@pytest.mark.parametrize(("dates", "overlap"), [(7, 1), (11, 3)])
def test_too_few_dates_give_a_difference_and_no_verdict(
    make_losses: MakeLosses, dates: int, overlap: int
) -> None:
    losses = make_losses(model=noisy(dates, 0.9), random_walk=[[1.0]] * dates)
    test = diebold_mariano(losses, "model", "random_walk", overlap)
    assert test.difference is not None
    assert (test.standard_error, test.statistic, test.p_value) == (None, None, None)


def test_a_model_that_is_its_opponent_has_no_statistic(make_losses: MakeLosses) -> None:
    losses = make_losses(model=noisy(20, 1.0), random_walk=noisy(20, 1.0))
    test = diebold_mariano(losses, "model", "random_walk", 1)
    assert (test.difference, test.statistic) == (0.0, None)


def test_a_loss_that_is_not_finite_gives_nothing(make_losses: MakeLosses) -> None:
    losses = make_losses(model=[[np.nan, 1.0], *[[1.0, 1.0]] * 19], random_walk=[[1.0, 1.0]] * 20)
    assert diebold_mariano(losses, "model", "random_walk", 1).difference is None


def test_a_true_hypothesis_is_rejected_about_as_often_as_it_should_be() -> None:
    # Losses on dates whose targets overlap three times, as sums of three independent parts.
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(400):
        parts = rng.normal(size=109)
        values = parts[:-2] + parts[1:-1] + parts[2:]
        statistic = values.mean() / standard_error(values, choose_lag(107, 3))
        rejected += student_p_value(statistic, 106) < 0.05
    assert 0.03 < rejected / 400 < 0.10


def test_the_model_meets_both_walks_and_these_each_other(make_losses: MakeLosses) -> None:
    losses = make_losses(model=noisy(9, 0.9), ewma_walk=noisy(9, 1.0, 1), random_walk=noisy(9, 1.1, 2))
    pairs = [(test.candidate, test.opponent) for test in run_tests(losses, "model", 1)]
    assert pairs == [("model", "random_walk"), ("model", "ewma_walk"), ("ewma_walk", "random_walk")]


@pytest.mark.parametrize(
    ("difference", "p_value", "verdict"),
    [
        (-0.02, 0.01, "better"),
        (0.02, 0.01, "worse"),
        (-0.02, 0.05, "could be luck"),
        (-0.02, None, "too few cutoffs to tell"),
        (0.0, None, "the same"),
        (None, None, "a loss is not finite"),
    ],
)
def test_a_verdict_is_in_words(difference: float | None, p_value: float | None, verdict: str) -> None:
    test = DieboldMariano("model", "random_walk", difference, dates=20, lag=2, p_value=p_value)
    assert test.verdict == verdict
