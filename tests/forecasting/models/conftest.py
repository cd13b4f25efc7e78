"""A small panel of simulated prices, and its networks, trained once in real processes; and sham ones."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from forecasting.bars import Bars
from forecasting.models.baselines import EwmaWalk
from forecasting.models.training import TrainedNetwork, train_network
from forecasting.panel import Panel
from forecasting.windows import Windows, build_windows

START = np.datetime64("2020-01-01", "us")
END = START + np.timedelta64(300, "D")


@dataclass
class Steps:
    """A listener that remembers how far the work was."""

    seen: list[tuple[int, int]]

    def __call__(self, done: int, total: int, message: str) -> None:
        assert message
        self.seen.append((done, total))


@dataclass(frozen=True)
class Trained:
    """A panel, its bars and windows, and the network trained on those up to `END`."""

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


@dataclass(frozen=True)
class Sham:
    """In the place of a network: the EWMA walk that knows half of what comes, moved up by so many scales."""

    training_end: str
    shift: float
    name: str = "stacked_lstm"

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        walk = EwmaWalk.fit(windows, np.datetime64(self.training_end)).predict(windows, origins)
        known = windows.targets(origins)[..., None]
        return (walk + known) / 2 + self.shift * windows.scale[origins, None, None]


@dataclass
class Workshop:
    """Where networks are trained in no time.

    Attributes:
        shift: how far the next ones are off.
        trained: the training ends of those that were trained here.
    """

    shift: float = 0.0
    trained: list[str] = field(default_factory=list)

    def train(self, panel: Panel, bars: Bars, end: np.datetime64, on_progress: object) -> TrainedNetwork:
        assert (panel.name, bool(len(bars)), bool(on_progress)) == ("tiny", True, True)
        self.trained.append(str(end)[:10])
        state = {"training_end": str(end), "shift": self.shift}
        return TrainedNetwork(b"a network", state, {"step": [], "loss": [], "val_loss": []}, {})


@pytest.fixture
def workshop(monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """In the place of TensorFlow, for this test."""

    def load(panel: Panel, model_bytes: bytes, state: dict[str, Any]) -> Sham:
        assert (panel.name, model_bytes) == ("tiny", b"a network")
        return Sham(**state)

    made = Workshop()
    monkeypatch.setattr("forecasting.models.selection.train_network", made.train)
    monkeypatch.setattr("forecasting.models.registry.load_network", load)
    return made


@pytest.fixture(scope="session")
def trained() -> Trained:
    """The default network."""
    return train(make_panel(), make_bars())


@pytest.fixture(scope="session")
def trained_lecture() -> Trained:
    """The lecture's network, on windows a sixth as far apart as the lecture's prices allow: enough bars."""
    panel = Panel.model_validate(
        {
            "name": "lecture",
            "source": {"uri": "x"},
            "forecast": {"horizon": 6},
            "model": {"preset": "lecture", "training_steps": 10, "batch_size": 32},
        }
    )
    bars = make_bars(count=1300, series=2)
    steps = Steps([])
    network = train_network(panel, bars, START + np.timedelta64(1200, "D"), steps)
    return Trained(panel, bars, build_windows(panel, bars, panel.calendar), network, steps.seen)
