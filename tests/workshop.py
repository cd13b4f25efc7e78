"""Networks that are trained in no time, for the tests of who publishes."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from forecasting.errors import ModelError
from forecasting.models.baselines import EwmaWalk
from forecasting.models.training import TrainedNetwork
from forecasting.models.windows import Windows
from forecasting.panel import Panel
from forecasting.prices.bars import Bars


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
        try:
            return Sham(**state)
        except TypeError as error:
            raise ModelError("the state is damaged") from error

    made = Workshop()
    monkeypatch.setattr("forecasting.selection.challenger.train_network", made.train)
    monkeypatch.setattr("forecasting.models.registry.load_network", load)
    return made
