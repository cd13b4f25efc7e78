import numpy as np
import pytest

from forecasting.models.simulation.laws import DAILY, INTRADAY, Laws, Worlds


@pytest.fixture(scope="module")
def worlds() -> Worlds:
    return Worlds.draw(DAILY, 20_000, np.random.default_rng(1))


def test_half_lives_lie_in_their_ranges(worlds: Worlds) -> None:
    half_lives = np.log(0.5) / np.log(worlds.decay.astype(np.float64))
    for component, (shortest, longest) in zip(half_lives, DAILY.half_lives, strict=True):
        assert component.min() > 0.99 * shortest
        assert component.max() < 1.01 * longest


def test_components_share_the_spread_of_log_volatility(worlds: Worlds) -> None:
    total = np.sqrt((worlds.spread**2).sum(axis=0))
    assert np.quantile(total, [0, 0.5, 1]) == pytest.approx([0.1, np.sqrt(0.08), 0.8], abs=0.01)


@pytest.mark.parametrize(
    ("parameter", "share"),
    [
        ("jump_rate", DAILY.jump_share),
        ("break_rate", DAILY.break_share),
        ("pull", DAILY.pull_share),
        ("tick", DAILY.tick_share),
        ("hold_rate", DAILY.hold_share),
        ("noise", DAILY.noise_share),
    ],
)
def test_a_property_that_only_some_markets_have_is_0_in_the_others(
    worlds: Worlds, parameter: str, share: float
) -> None:
    assert (getattr(worlds, parameter) > 0).mean() == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("laws", [DAILY, INTRADAY])
def test_the_same_seed_draws_the_same_parameters(laws: Laws) -> None:
    first, second = (Worlds.draw(laws, 50, np.random.default_rng(3)) for _ in range(2))
    for name, values in vars(first).items():
        np.testing.assert_array_equal(values, getattr(second, name))


def test_mean_sizes_of_students_t_are_those_of_known_cases() -> None:
    """With 3 degrees of freedom and unit variance 2/pi; with many, a normal variable's sqrt(2/pi)."""
    three = Laws(half_lives=((2, 4),), tail_least=3, tail_mean=0)
    many = Laws(half_lives=((2, 4),), tail_least=4000, tail_mean=0, tail_most=4000)
    for laws, expected in ((three, 2 / np.pi), (many, np.sqrt(2 / np.pi))):
        size = Worlds.draw(laws, 1, np.random.default_rng(1)).mean_size
        assert size == pytest.approx(expected, rel=1e-3)
