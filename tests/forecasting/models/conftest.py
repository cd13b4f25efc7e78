"""A small panel of simulated prices, and its networks, trained once in real processes."""

from dataclasses import dataclass

import numpy as np
import pytest

from forecasting.models.training import TrainedNetwork, train_network
from forecasting.models.windows import Windows, build_windows
from forecasting.panel import Panel
from forecasting.prices.bars import Bars

START = np.datetime64("2020-01-01", "us")
END = START + np.timedelta64(300, "D")


@dataclass
class Steps:
    """A progress callback that records what it is told."""

    seen: list[tuple[int, int]]

    def __call__(self, done: int, total: int, message: str) -> None:
        assert message
        self.seen.append((done, total))


@dataclass(frozen=True)
class Trained:
    """A panel, its bars and windows, and the network trained on the bars up to `END`."""

    panel: Panel
    bars: Bars
    windows: Windows
    network: TrainedNetwork
    progress: list[tuple[int, int]]


def make_panel(**model: object) -> Panel:
    model = {"context": 20, "units": [4, 3], "training_steps": 40, "batch_size": 32} | model
    return Panel.model_validate(
        {"name": "small", "source": {"uri": "x"}, "forecast": {"horizon": 6}, "model": model}
    )


def make_lecture_panel() -> Panel:
    return Panel.model_validate(
        {
            "name": "lecture",
            "source": {"uri": "x"},
            "forecast": {"horizon": 6},
            "model": {"preset": "lecture", "training_steps": 10, "batch_size": 32},
        }
    )


def make_bars(count: int = 400, series: int = 3) -> Bars:
    rng = np.random.default_rng(0)
    return Bars(
        ids=tuple(f"s{number}" for number in range(series)),
        offsets=np.arange(series + 1) * count,
        ds=np.tile(START + np.arange(count) * np.timedelta64(1, "D"), series),
        y=np.exp(rng.normal(0, 0.01, (series, count)).cumsum(axis=1)).ravel(),
    )


def train(panel: Panel, bars: Bars) -> Trained:
    steps = Steps([])
    network = train_network(panel, bars, END, steps)
    return Trained(panel, bars, build_windows(panel, bars, panel.calendar), network, steps.seen)


@pytest.fixture(scope="session")
def trained() -> Trained:
    """The network of the default preset."""
    return train(make_panel(), make_bars())


@pytest.fixture(scope="session")
def trained_lecture() -> Trained:
    """The network of the lecture preset, on two series that are long enough for its windows."""
    panel = make_lecture_panel()
    bars = make_bars(count=1300, series=2)
    steps = Steps([])
    network = train_network(panel, bars, START + np.timedelta64(1200, "D"), steps)
    return Trained(panel, bars, build_windows(panel, bars, panel.calendar), network, steps.seen)
