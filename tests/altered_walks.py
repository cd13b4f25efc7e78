"""A small panel of simulated prices, and models whose worth is known."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from forecasting.calendar import BarCalendar, bar_calendar
from forecasting.models.baselines import EwmaWalk
from forecasting.models.windows import Windows, build_windows
from forecasting.panel import Panel
from forecasting.prices.bars import Bars

START = np.datetime64("2020-01-01", "us")
DAY = np.timedelta64(1, "D")

MakeBars = Callable[..., Bars]


@pytest.fixture
def panel() -> Panel:
    """Six bars ahead, from contexts of ten."""
    return Panel.model_validate(
        {
            "name": "walks",
            "source": {"uri": "x"},
            "forecast": {"horizon": 6},
            "model": {"context": 10},
            "audit": {"min_bars": 5},
        }
    )


@pytest.fixture
def calendar() -> BarCalendar:
    return bar_calendar("24/7", "1D")


@pytest.fixture
def make_bars() -> MakeBars:
    def make(*spans: tuple[int, int], seed: int = 0) -> Bars:
        """Geometric random walks; a span is a series' first day and the day after its last."""
        rng = np.random.default_rng(seed)
        prices = [np.exp(rng.normal(scale=0.01, size=stop - first).cumsum()) for first, stop in spans]
        return Bars(
            ids=tuple(f"s{number}" for number in range(len(spans))),
            offsets=np.concatenate([[0], np.cumsum([stop - first for first, stop in spans])]),
            ds=np.concatenate([START + np.arange(first, stop) * DAY for first, stop in spans]),
            y=np.concatenate(prices),
        )

    return make


@dataclass
class Altered:
    """The EWMA walk, made wider and moved up: as good as it, or as bad as one likes."""

    walk: EwmaWalk
    width: float = 1.0
    shift: float = 0.0
    name: str = "altered"

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        shift = self.shift * windows.scale[origins, None, None]
        return self.width * self.walk.predict(windows, origins) + shift


@pytest.fixture
def fit_altered(panel: Panel, calendar: BarCalendar) -> Callable[..., Altered]:
    def fit(bars: Bars, end: np.datetime64, **alterations: float) -> Altered:
        return Altered(EwmaWalk.fit(build_windows(panel, bars, calendar), end), **alterations)

    return fit
