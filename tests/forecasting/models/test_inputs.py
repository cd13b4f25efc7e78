"""The network's inputs: causal, free of units, and the same whatever series lie beside one."""

import numpy as np
import pandas as pd
import pytest

from forecasting.models import inputs as module
from forecasting.models.inputs import CONTEXT, HALF_LIVES, NAMES, Inputs, Moves, inputs_at


def moves_of(*series: np.ndarray) -> Moves:
    return Moves(np.concatenate(series), np.array([len(one) for one in series]))


def changes(count: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 0.01 * np.exp(0.3 * rng.normal(size=count)) * rng.standard_t(4, count)


def at(moves: Moves, series: list[int], ages: list[int]) -> Inputs:
    return inputs_at(moves, np.array(series), np.array(ages))


def column(inputs: Inputs, name: str) -> np.ndarray:
    return inputs.at_origin[:, NAMES.index(name)]


def assert_equal(first: Inputs, second: Inputs, tolerance: float = 0) -> None:
    np.testing.assert_allclose(first.at_origin, second.at_origin, atol=tolerance)
    np.testing.assert_allclose(first.contexts(slice(None)), second.contexts(slice(None)), atol=tolerance)


def test_what_comes_after_an_origin_moves_nothing() -> None:
    known = changes(500)
    futures = [np.concatenate([known, extreme]) for extreme in (np.zeros(50), np.full(50, 9.0))]
    first, second = (at(moves_of(one), [0, 0], [400, 500]) for one in futures)
    assert_equal(first, second)


def test_inputs_know_no_units() -> None:
    """As those of a price in cents, or of a series a thousand times as volatile."""
    first, second = (at(moves_of(unit * changes(800)), [0, 0], [60, 800]) for unit in (1, 1000))
    assert_equal(first, second, tolerance=1e-5)
    np.testing.assert_allclose(second.scale, 1000 * first.scale)


def test_a_series_has_the_same_inputs_alone_and_among_others() -> None:
    alone = at(moves_of(changes(700)), [0], [650])
    among = at(moves_of(changes(90, 2), changes(700), changes(5, 3)), [1], [650])
    assert_equal(alone, among, tolerance=1e-6)


def test_series_in_several_groups_have_the_same_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    moves, origins = moves_of(*(changes(200, seed) for seed in range(5))), ([0, 4, 2], [200, 60, 130])
    whole = at(moves, *origins)
    monkeypatch.setattr(module, "_GROUP", 300)
    assert_equal(whole, at(moves, *origins), tolerance=1e-6)


def test_volatilities_are_those_of_pandas() -> None:
    moved = changes(900)
    inputs = at(moves_of(moved), [0], [900])
    for half_life in HALF_LIVES:
        expected = np.sqrt((pd.Series(moved) ** 2).ewm(halflife=half_life).mean().iloc[-1])
        found = inputs.scale[0] * np.exp(column(inputs, f"volatility_{half_life}")[0])
        assert found == pytest.approx(expected, rel=1e-4)


def test_variance_ratios_tell_trends_and_returns_from_a_walk() -> None:
    shocks = np.random.default_rng(1).normal(size=3000)
    trending = shocks + 0.9 * np.roll(shocks, 1)
    returning = shocks - 0.9 * np.roll(shocks, 1)
    found = column(at(moves_of(trending, shocks, returning), [0, 1, 2], [3000] * 3), "variance_ratio_5")
    assert found[0] > 0.2
    assert found[1] == pytest.approx(0, abs=0.1)
    assert found[2] < -0.5


def test_leverage_is_negative_where_falls_are_followed_by_large_changes() -> None:
    rng = np.random.default_rng(1)
    moved = np.zeros(2000)
    for bar in range(1, 2000):
        moved[bar] = rng.normal() * (1.5 if moved[bar - 1] < 0 else 0.5)
    found = column(at(moves_of(moved, -moved), [0, 1], [2000, 2000]), "leverage_1")
    assert found[0] < -0.3
    assert found[1] == pytest.approx(-found[0], abs=1e-5)


def test_direction_is_the_mean_change_over_its_deviation_in_a_walk() -> None:
    moved = np.tile([0.015, -0.01], 600)
    direction = column(at(moves_of(moved, -moved), [0, 1], [1200, 1200]), "direction_250")
    assert direction[0] == pytest.approx(0.0025 / np.sqrt(1.625e-4) * np.sqrt(250), rel=0.03)
    assert direction[1] == pytest.approx(-direction[0], rel=1e-5)


def test_a_context_holds_the_last_changes_in_scales() -> None:
    moved = changes(300)
    inputs = at(moves_of(moved), [0], [300])
    steps = inputs.contexts(slice(None)).reshape(CONTEXT, 2)
    expected = np.clip(moved[-CONTEXT:] / inputs.scale[0], -8, 8)
    np.testing.assert_allclose(steps[:, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(steps[:, 1], np.log(np.abs(expected) + 0.05), rtol=1e-4, atol=1e-5)


def test_a_short_history_is_padded_with_zeros_in_front() -> None:
    inputs = at(moves_of(changes(300, 2), changes(60)), [1], [60])
    steps = inputs.contexts(slice(None)).reshape(CONTEXT, 2)
    assert not steps[:60].any()
    assert steps[60:].all()


def test_a_series_that_never_moves_has_no_scale_and_finite_inputs() -> None:
    inputs = at(moves_of(np.zeros(200)), [0], [200])
    assert inputs.scale.tolist() == [0]
    assert np.isfinite(inputs.at_origin).all()
    assert np.isfinite(inputs.contexts(slice(None))).all()


def test_the_scale_stays_above_a_tenth_of_the_long_volatility_in_a_peg() -> None:
    moved = np.concatenate([changes(1000), np.zeros(400)])
    inputs = at(moves_of(moved), [0], [1400])
    long = np.exp(column(inputs, "volatility_5000")[0]) * inputs.scale[0]
    assert inputs.scale[0] == pytest.approx(0.1 * long, rel=1e-4)


def test_single_and_double_precision_agree() -> None:
    moved = changes(2000)
    double = at(moves_of(moved), [0, 0], [100, 2000])
    single = at(moves_of(moved.astype(np.float32)), [0, 0], [100, 2000])
    assert_equal(single, double, tolerance=2e-3)
