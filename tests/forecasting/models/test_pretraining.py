"""A short pretraining learns and repeats itself; the shipped network is good on markets it never saw."""

from functools import cache

import numpy as np
import pytest

from forecasting.models import fan
from forecasting.models.backend import keras, tf
from forecasting.models.network import Network
from forecasting.models.pretraining import Recipe, build_network, loss, pretrain
from forecasting.models.shipped import shipped_network, shipped_pretraining
from forecasting.models.simulation.judge import (
    judge,
    network_quantiles,
    regression_quantiles,
    seer_quantiles,
    walk_quantiles,
)
from forecasting.models.simulation.markets import PATHS, STEPS_AHEAD
from forecasting.models.simulation.samples import KINDS, Sample
from forecasting.quantiles import LEVELS

SHORT = Recipe(rounds=4, series=60, batch_size=64)
# Other than any the shipped network was trained or judged on.
SEED = 20_261_128


def trained(recipe: Recipe) -> Network:
    model = pretrain(recipe, lambda *_: None)
    return Network.of(model.get_weights())


@pytest.fixture(scope="module")
def short() -> Network:
    return trained(SHORT)


@cache
def drawn(kind: str) -> Sample:
    return Sample.draw((SEED,), kind)


@pytest.fixture(params=list(KINDS))
def fresh(request: pytest.FixtureRequest) -> Sample:
    return drawn(request.param)


@pytest.fixture(scope="module")
def past() -> Sample:
    return Sample.join([Sample.draw((SEED, 99), kind, series=400) for kind in KINDS])


def test_a_short_pretraining_learns(short: Network) -> None:
    """It begins at a fan of zeros, and each step is better there than that start."""
    sample = Sample.join([Sample.draw((SEED,), kind, series=200) for kind in KINDS])
    start = Network.of(build_network(SHORT.units).get_weights())
    before, after = (judge(network_quantiles(network, sample), sample) for network in (start, short))
    gain = before.losses - after.losses
    assert gain.mean() > 3 * gain.std() / np.sqrt(len(gain))


def test_the_same_seed_gives_the_same_weights(short: Network) -> None:
    assert trained(SHORT).digest == short.digest


def test_the_loss_is_least_at_the_true_quantiles() -> None:
    """Of a fan that is as wide as normal shocks, and of others; whatever a window's futures happen to be."""
    shocks = np.random.default_rng(1).normal(size=(4000, PATHS, len(STEPS_AHEAD))).astype(np.float32)
    futures = shocks * np.sqrt(STEPS_AHEAD).astype(np.float32)

    def cost(width: float) -> float:
        """The gradient's own loss: the weight of a window stays what it is at the true width."""
        numbers = np.tile(np.repeat(np.float32([0, -3, 0, 0]), fan.KNOTS), (len(futures), 1))
        quantiles = np.exp(width) * fan.quantiles(numbers, STEPS_AHEAD)
        error = futures[..., None] - quantiles[:, None]
        pinball = 2 * np.maximum(LEVELS * error, (LEVELS - 1) * error).mean(axis=(1, 3))
        return float((pinball / np.sqrt(STEPS_AHEAD)).mean())

    numbers = tf.Variable(np.repeat(np.float32([0, -3, 0, 0]), fan.KNOTS)[None])
    assert cost(0) < min(cost(-0.1), cost(0.1))
    with tf.GradientTape() as tape:
        value = loss(tf.tile(numbers, [len(futures), 1]), futures)
    gradient = tape.gradient(value, numbers).numpy()[0, : fan.KNOTS]
    assert float(value) * 1.05 == pytest.approx(cost(0), rel=0.01)
    assert np.abs(gradient).max() < 0.01


def test_the_shipped_network_beats_both_baselines_on_fresh_markets(fresh: Sample, past: Sample) -> None:
    own = judge(network_quantiles(shipped_network(), fresh), fresh)
    for baseline in (walk_quantiles, regression_quantiles):
        gain = judge(baseline(past, fresh), fresh).losses - own.losses
        assert gain.mean() > 3 * gain.std() / np.sqrt(len(gain)), baseline.__name__


def test_the_shipped_networks_intervals_cover_fresh_markets_at_every_step() -> None:
    """Within half a point, over both kinds of bars: 32,000 windows."""
    others = [Sample.draw((SEED, 200), kind) for kind in KINDS]
    sample = Sample.join([*map(drawn, KINDS), *others])
    cover = judge(network_quantiles(shipped_network(), sample), sample).cover
    for level, shares in cover.items():
        assert np.abs(100 * shares - level).max() < 0.5, (level, shares)


def test_no_one_beats_the_seer() -> None:
    sample = Sample.draw((SEED, 300), "daily", series=60, paths=PATHS + 512)
    quantiles, seen = seer_quantiles(sample)
    gain = judge(network_quantiles(shipped_network(), seen), seen).losses - judge(quantiles, seen).losses
    assert seen.futures.shape[1] == PATHS
    assert gain.mean() > 3 * gain.std() / np.sqrt(len(gain))


def test_the_metadata_say_what_the_seer_loses() -> None:
    for kind in KINDS:
        scores = shipped_pretraining().scores[kind]
        assert scores.seer < scores.network_on_them
        assert scores.network < min(scores.regression, scores.ewma_walk)


def test_a_network_of_other_units_and_context_is_built_by_the_same_code() -> None:
    model = build_network((8, 4), context=60)
    assert model.input_shape[0] == (None, 12, 10)
    assert [model.get_layer(name).units for name in ("lstm_1", "lstm_2")] == [8, 4]
    keras.backend.clear_session()
