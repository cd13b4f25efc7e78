from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from forecasting.models.simulation.laws import DAILY, Laws
from forecasting.models.simulation.markets import STEPS_AHEAD, Length, Markets, simulate

LENGTH = Length(bars=400, first=60, early=200, origins=2)
# A walk whose changes are normal and always of one size.
PLAIN = Laws(
    half_lives=((10, 20),),
    volatility_spread=(1e-6, 2e-6),
    reaction_share=0,
    leverage_share=0,
    tail_least=400,
    tail_most=400,
    skew_share=0,
    jump_share=0,
    break_share=0,
    pull_share=0,
    drift_share=0,
    echo_share=0,
    noise_share=0,
    tick_share=0,
    hold_share=0,
)


def walk(series: int = 400, paths: int = 8, **laws: Any) -> Markets:
    return simulate(replace(PLAIN, **laws), series, LENGTH, np.random.default_rng(1), paths)


def changes(markets: Markets) -> np.ndarray:
    """(L - 1, N) float64."""
    return np.diff(markets.level.astype(np.float64), axis=0)


def test_the_same_seed_gives_the_same_markets() -> None:
    first, second = (simulate(DAILY, 20, LENGTH, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.level, second.level)
    np.testing.assert_array_equal(first.futures, second.futures)


def test_futures_of_a_plain_walk_spread_with_the_root_of_the_step() -> None:
    spread = walk(paths=32).futures.std(axis=(0, 1, 2), dtype=np.float64)
    assert spread / np.sqrt(STEPS_AHEAD) == pytest.approx(1, abs=0.03)


def test_futures_come_in_pairs_with_opposite_shocks() -> None:
    futures = walk().futures
    assert futures[:, :, 4:] == pytest.approx(-futures[:, :, :4], abs=1e-3)


def test_half_of_the_origins_have_a_short_history() -> None:
    origins = simulate(DAILY, 4, LENGTH._replace(origins=8), np.random.default_rng(2)).origins
    assert ((origins >= 60) & (origins < 200)).sum() == 4
    assert len(set(origins.tolist())) == 8


def test_large_changes_raise_the_volatility_after_them() -> None:
    reacting = walk(volatility_spread=(0.5, 0.6), reaction_share=1, reaction=(0.99, 0.999))
    sizes = np.abs(changes(reacting))
    aloof = np.abs(changes(walk(volatility_spread=(0.5, 0.6))))
    assert next_bar(sizes, sizes) > next_bar(aloof, aloof) + 0.02


def test_falls_raise_the_volatility_after_them_where_there_is_leverage() -> None:
    moved = changes(walk(volatility_spread=(0.5, 0.6), leverage_share=1, leverage=(-0.8, -0.7)))
    assert next_bar(moved, np.abs(moved)) < -0.03


def next_bar(first: np.ndarray, second: np.ndarray) -> float:
    """Mean correlation of a value with another of the bar after it."""
    pairs = zip(first[:-1].T, second[1:].T, strict=True)
    return float(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs]))


def test_skewed_changes_have_no_mean_and_the_same_variance() -> None:
    moved = changes(walk(skew_share=1, skew=0.3))
    assert moved.std() == pytest.approx(1, abs=0.02)
    assert moved.mean() == pytest.approx(0, abs=0.01)
    assert ((moved / moved.std(axis=0)) ** 3).mean(axis=0).std() > 0.3


def test_drift_moves_all_futures() -> None:
    drifting = walk(drift_share=1, drift=0.5)
    end = drifting.futures[..., -1].mean(axis=(0, 2))
    assert end == pytest.approx(drifting.worlds.drift * STEPS_AHEAD[-1], abs=0.02)


def test_jumps_make_tails() -> None:
    moved = changes(walk(jump_share=1, jump_rate=(0.01, 0.011), jump_size=(8, 9)))
    kurtosis = ((moved / moved.std(axis=0)) ** 4).mean()
    assert kurtosis > 8


def test_a_pulled_price_stays_near_its_usual_level() -> None:
    """The variance of a first-order autoregression; the last steps ahead lie many half-lives away."""
    pulled = walk(pull_share=1, pull=(10, 10.01), paths=32)
    left = 1 - np.log(2) / 10
    later = pulled.level[-1].std()
    assert later == pytest.approx(1 / np.sqrt(1 - left**2), rel=0.1)


def test_breaks_change_the_usual_volatility() -> None:
    moved = changes(walk(break_share=1, break_rate=(0.01, 0.011), break_size=(1, 1.1)))
    sizes = np.log(np.abs(moved).reshape(7, 57, -1).mean(axis=1))
    assert sizes.std(axis=0).mean() > 0.4


def test_quotes_are_whole_ticks() -> None:
    ticked = walk(tick_share=1, tick=(0.5, 0.500001))
    assert ticked.level / 0.5 == pytest.approx(np.rint(ticked.level / 0.5), abs=1e-3)
    assert ticked.futures / 0.5 == pytest.approx(np.rint(ticked.futures / 0.5), abs=1e-2)


def test_quotes_stand_still_in_stretches_of_the_length_that_was_asked_for() -> None:
    held = changes(walk(hold_share=1, hold_rate=(0.01, 0.011), hold_length=(30, 31))) == 0
    starts = held[1:] & ~held[:-1]
    assert held.sum() / starts.sum() == pytest.approx(30, rel=0.1)


def test_a_quote_that_stands_still_at_an_origin_may_stay_so_ahead() -> None:
    futures = walk(hold_share=1, hold_rate=(0.01, 0.011), hold_length=(30, 31)).futures
    assert 0.1 < (futures[..., 0] == 0).mean() < 0.4
    assert (futures[..., -1] == 0).mean() < 0.01


def test_noise_makes_changes_turn_back() -> None:
    """With noise of half a change, the autocorrelation is -0.25 / (1 + 2 x 0.25)."""
    moved = changes(walk(noise_share=1, noise=(0.5, 0.501)))
    assert next_bar(moved, moved) == pytest.approx(-1 / 6, abs=0.01)
