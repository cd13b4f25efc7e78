import numpy as np
import pytest

from forecasting.models.inputs import NAMES
from forecasting.models.simulation.judge import judge, regression_quantiles, seer_quantiles, walk_quantiles
from forecasting.models.simulation.markets import PATHS, STEPS_AHEAD
from forecasting.models.simulation.samples import Sample
from forecasting.quantiles import LEVELS

STEPS = len(STEPS_AHEAD)


def sample_of(futures: np.ndarray, at_origin: np.ndarray | None = None) -> Sample:
    windows = len(futures)
    if at_origin is None:
        at_origin = np.zeros((windows, len(NAMES)), np.float32)
    return Sample(np.zeros((windows, 24, 10), np.float32), at_origin, futures.astype(np.float32))


def walks(windows: int, paths: int = PATHS, width: np.ndarray | float = 1.0) -> np.ndarray:
    """Normal futures that spread with the root of the step, of one width each."""
    shocks = np.random.default_rng(1).normal(size=(windows, paths, STEPS))
    return shocks * np.sqrt(STEPS_AHEAD) * np.reshape(width, (-1, 1, 1))


def test_the_loss_is_twice_the_mean_pinball_loss_over_root_step_and_volatility() -> None:
    at_origin = np.zeros((1, len(NAMES)), np.float32)
    at_origin[:, NAMES.index("volatility_60")] = 2 * np.log(4)
    judged = judge(np.zeros((1, STEPS, 11)), sample_of(np.full((1, PATHS, STEPS), 3.0), at_origin))
    expected = (2 * LEVELS * 3).mean() * (1 / np.sqrt(STEPS_AHEAD)).mean() / 4
    assert judged.loss == pytest.approx(expected, rel=1e-6)


def test_coverage_counts_the_futures_inside_each_interval() -> None:
    quantiles = np.tile(np.linspace(-5, 5, 11), (1, STEPS, 1))
    futures = np.zeros((1, PATHS, STEPS))
    futures[0, :2], futures[0, 2] = 4.5, 6
    cover = judge(quantiles, sample_of(futures)).cover
    assert cover[90].tolist() == [pytest.approx(7 / 8)] * STEPS
    assert cover[80].tolist() == [pytest.approx(5 / 8)] * STEPS


def test_the_walk_covers_what_it_should_where_all_windows_have_one_law() -> None:
    past, sample = sample_of(walks(4000)), sample_of(walks(2000)[::-1])
    cover = judge(walk_quantiles(past, sample), sample).cover
    assert cover[80] == pytest.approx(0.8, abs=0.02)
    assert cover[90] == pytest.approx(0.9, abs=0.02)


def test_the_regression_finds_a_width_that_a_volatility_tells() -> None:
    log_width = np.random.default_rng(2).normal(0, 0.7, 4000)
    at_origin = np.zeros((4000, len(NAMES)), np.float32)
    at_origin[:, NAMES.index("volatility_250")] = log_width
    sample = sample_of(walks(4000, width=np.exp(log_width)), at_origin)
    quantiles = regression_quantiles(sample, sample)
    width = (quantiles[:, 0, 9] - quantiles[:, 0, 1]) / (2 * 1.2816)
    assert np.corrcoef(np.log(width), log_width)[0, 1] > 0.99
    assert np.median(width / np.exp(log_width)) == pytest.approx(1, abs=0.05)


def test_the_seer_sees_no_future_that_it_is_judged_by_nor_its_opposite() -> None:
    """Each pair of futures has one number of its own, with both signs."""
    pairs = np.arange(1, 21)
    futures = np.concatenate([pairs, -pairs])[None, :, None] * np.ones(STEPS)
    quantiles, seen = seer_quantiles(sample_of(futures))
    judged = set(np.abs(seen.futures).ravel().tolist())
    known = [pair for pair in pairs if pair not in judged]
    assert seen.futures.shape == (1, PATHS, STEPS)
    assert len(judged) == PATHS // 2
    assert quantiles[0, 0] == pytest.approx(np.quantile([*known, *(-1 * np.array(known))], LEVELS))


def test_the_seer_is_near_the_quantiles_of_the_law() -> None:
    quantiles, _ = seer_quantiles(sample_of(walks(3, paths=20_000)))
    assert quantiles[:, 0, 9] == pytest.approx(1.2816, abs=0.05)
