import numpy as np
import pytest

from forecasting.models.inputs import HALF_LIVES, NAMES
from forecasting.models.simulation.laws import DAILY, Worlds
from forecasting.models.simulation.markets import PATHS, STEPS_AHEAD, Markets
from forecasting.models.simulation.samples import KINDS, Sample

SERIES, BARS = 3, 400


@pytest.fixture
def markets() -> Markets:
    """Two walks and one price that never moves, with futures of 1, 2, ... everywhere."""
    rng = np.random.default_rng(1)
    level = 0.01 * rng.normal(size=(BARS, SERIES)).cumsum(axis=0).astype(np.float32)
    level[:, 2] = 1
    futures = np.ones((2, SERIES, PATHS, len(STEPS_AHEAD)), np.float32) * np.arange(1, 16, dtype=np.float32)
    return Markets(Worlds.draw(DAILY, SERIES, rng), level, np.array([100, 300]), futures)


def test_a_price_that_never_moves_gives_no_window(markets: Markets) -> None:
    assert len(Sample.of(markets)) == 4


def test_futures_count_in_scales_of_the_origin(markets: Markets) -> None:
    sample = Sample.of(markets)
    place = NAMES.index(f"volatility_{HALF_LIVES[1]}")
    changes = np.diff(markets.level[:101, 0].astype(np.float64))
    weights = 0.5 ** (np.arange(100)[::-1] / 20)
    scale = np.sqrt((weights * changes**2).sum() / weights.sum())
    assert sample.at_origin[0, place] == pytest.approx(0, abs=1e-5)
    assert sample.futures[0, 0, :2] == pytest.approx(np.array([1, 2]) / scale, rel=1e-4)


def test_futures_are_clipped_at_300_scales(markets: Markets) -> None:
    assert Sample.of(markets).futures.max() == 300


def test_a_longer_context_has_more_patches(markets: Markets) -> None:
    assert Sample.of(markets, context=240).contexts.shape[1:] == (48, 10)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_and_the_kind_decide_the_sample(kind: str) -> None:
    first, again, other = (Sample.draw(seed, kind, series=5) for seed in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(first.futures, again.futures)
    np.testing.assert_array_equal(first.contexts, again.contexts)
    assert not np.array_equal(first.at_origin[:5], other.at_origin[:5])


def test_everything_is_finite() -> None:
    for kind in KINDS:
        sample = Sample.draw((7,), kind, series=300)
        for values in vars(sample).values():
            assert np.isfinite(values).all()


def test_joined_samples_lie_one_after_another(markets: Markets) -> None:
    sample = Sample.of(markets)
    joined = Sample.join([sample, sample])
    assert len(joined) == 2 * len(sample)
    np.testing.assert_array_equal(joined.contexts[len(sample) :], sample.contexts)
