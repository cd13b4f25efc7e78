"""The model on simulated prices with a known distribution, against the best possible forecast."""

from dataclasses import dataclass

import numpy as np
import pytest

from forecasting.models.baselines import EwmaWalk
from forecasting.models.stacked_lstm import load, train
from forecasting.models.windows import Windows, build_windows
from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.progress import silent
from forecasting.quantiles import LEVELS

START = np.datetime64("2020-01-06", "us")
SERIES, COUNT, HORIZON = 12, 1400, 12
TRAINED = 1000
SIZE = 0.01
# Omega is such that changes have the variance SIZE**2.
ALPHA, BETA = 0.15, 0.80
PATHS = 1500


@dataclass(frozen=True)
class Trial:
    """Windows after the end of training, and each forecaster's quantiles (W, HORIZON, 11) on them."""

    windows: Windows
    origins: np.ndarray
    quantiles: dict[str, np.ndarray]

    def loss(self, name: str) -> float:
        """Return the mean pinball loss over windows, steps and levels."""
        return pinball(self.windows.targets(self.origins), self.quantiles[name])

    def coverage(self, name: str, lower: int, upper: int) -> float:
        """Return the share of changes between two of the quantiles."""
        targets, quantiles = self.windows.targets(self.origins), self.quantiles[name]
        inside = (quantiles[..., lower] <= targets) & (targets <= quantiles[..., upper])
        return float(inside.mean())


def pinball(targets: np.ndarray, quantiles: np.ndarray) -> float:
    error = targets[..., None] - quantiles
    return float(np.maximum(LEVELS * error, (LEVELS - 1) * error).mean())


def trial(changes: np.ndarray, freq: str = "1D") -> Trial:
    """Train on the first bars of series with these changes (S, N); forecast from every fifth later bar."""
    panel = Panel.model_validate(
        {
            "name": "law",
            "source": {"uri": "x"},
            "bars": {"freq": freq},
            "forecast": {"horizon": HORIZON, "transform": "diff"},
            "model": {"context": 20, "units": [8, 8], "training_steps": 200, "batch_size": 128},
        }
    )
    series, count = changes.shape
    step = np.timedelta64(1, "D") if freq == "1D" else np.timedelta64(1, "h")
    bars = Bars(
        ids=tuple(f"s{number:02}" for number in range(series)),
        offsets=np.arange(series + 1) * count,
        ds=np.tile(START + np.arange(count) * step, series),
        y=changes.cumsum(axis=1).ravel(),
    )
    windows = build_windows(panel, bars, panel.calendar)
    end = START + (TRAINED - 1) * step
    network, state, _ = train(windows, end, panel, silent)
    origins = windows.after(end)[::5]
    models = {"model": load(network, state), "ewma_walk": EwmaWalk.fit(windows, end)}
    return Trial(windows, origins, {name: model.predict(windows, origins) for name, model in models.items()})


def gaussian_quantiles(deviation: np.ndarray) -> np.ndarray:
    """(..., 11) quantiles of normal distributions with these standard deviations, from a printed table."""
    table = np.array([-1.6449, -1.2816, -0.8416, -0.5244, -0.2533, 0, 0.2533, 0.5244, 0.8416, 1.2816, 1.6449])
    return deviation[..., None] * table


def garch(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Simulate changes (S, N), and return the variance of the change after each bar as well."""
    changes, variance = np.empty((2, SERIES, COUNT))
    following = np.full(SERIES, SIZE**2)
    for bar in range(COUNT):
        changes[:, bar] = np.sqrt(following) * rng.normal(size=SERIES)
        following = (1 - ALPHA - BETA) * SIZE**2 + ALPHA * changes[:, bar] ** 2 + BETA * following
        variance[:, bar] = following
    return changes, variance


def garch_quantiles(variance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(W, HORIZON, 11) true quantiles after bars with these next variances (W,), by simulation."""
    noise = rng.normal(size=(HORIZON, PATHS))
    following = np.repeat(variance[:, None], PATHS, axis=1)
    level, quantiles = np.zeros_like(following), np.empty((len(variance), HORIZON, len(LEVELS)))
    for step in range(HORIZON):
        change = np.sqrt(following) * noise[step]
        level += change
        quantiles[:, step] = np.quantile(level, LEVELS, axis=1).T
        following = (1 - ALPHA - BETA) * SIZE**2 + ALPHA * change**2 + BETA * following
    return quantiles


@pytest.fixture(scope="module")
def random_walk() -> Trial:
    """Independent normal changes."""
    done = trial(SIZE * np.random.default_rng(0).normal(size=(SERIES, COUNT)))
    deviation = SIZE * np.sqrt(np.arange(1, HORIZON + 1))
    done.quantiles["truth"] = np.tile(gaussian_quantiles(deviation), (len(done.origins), 1, 1))
    return done


@pytest.fixture(scope="module")
def clustered() -> Trial:
    """GARCH(1, 1), after Bollerslev (1986)."""
    changes, variance = garch(np.random.default_rng(1))
    done = trial(changes)
    done.quantiles["truth"] = garch_quantiles(variance.ravel()[done.origins], np.random.default_rng(2))
    return done


@pytest.fixture(scope="module")
def drifting() -> Trial:
    """Changes of an AR(1) process with a mean."""
    rng, persistence, drift = np.random.default_rng(3), 0.2, 0.05 * SIZE
    changes = SIZE * rng.normal(size=(SERIES, COUNT))
    for bar in range(1, COUNT):
        changes[:, bar] += persistence * changes[:, bar - 1]
    return trial(changes + drift)


@pytest.fixture(scope="module")
def seasonal() -> Trial:
    """Hourly changes, three times as large from 08:00 to 16:00 as in other hours."""
    hours = np.arange(COUNT) % 24
    usual = SIZE * np.where((hours >= 8) & (hours < 16), 3, 1)
    done = trial(usual * np.random.default_rng(4).normal(size=(SERIES, COUNT)), freq="1h")
    bars = done.windows.bars.age[done.origins][:, None] + np.arange(1, HORIZON + 1)
    deviation = np.sqrt((usual[bars] ** 2).cumsum(axis=1))
    done.quantiles["truth"] = gaussian_quantiles(deviation)
    return done


def excess(done: Trial, name: str) -> float:
    """Return the excess loss over the true quantiles, as a share of their loss."""
    return done.loss(name) / done.loss("truth") - 1


@pytest.mark.parametrize("law", ["random_walk", "clustered", "drifting", "seasonal"])
def test_intervals_cover_what_they_say(law: str, request: pytest.FixtureRequest) -> None:
    done: Trial = request.getfixturevalue(law)
    assert done.coverage("model", 1, 9) == pytest.approx(0.8, abs=0.02)
    assert done.coverage("model", 0, 10) == pytest.approx(0.9, abs=0.02)


def test_on_a_random_walk_it_finds_the_law(random_walk: Trial) -> None:
    assert abs(excess(random_walk, "model")) < 0.003


def test_on_clustered_volatility_it_is_much_nearer_the_best_than_the_ewma_walk(clustered: Trial) -> None:
    assert excess(clustered, "model") < 0.5 * excess(clustered, "ewma_walk")
    assert excess(clustered, "model") < 0.005


def test_a_drift_that_it_cannot_follow_makes_it_no_worse_than_the_walk(drifting: Trial) -> None:
    assert drifting.loss("model") < 1.005 * drifting.loss("ewma_walk")


def test_on_a_season_of_the_day_it_is_nearer_the_best_than_the_ewma_walk(seasonal: Trial) -> None:
    assert excess(seasonal, "model") < 0.8 * excess(seasonal, "ewma_walk")
