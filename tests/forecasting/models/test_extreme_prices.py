"""Property tests: no price that the audit accepts makes a forecast infinite."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.models.baselines import EwmaWalk, RandomWalk
from forecasting.models.windows import build_windows
from forecasting.panel import Panel
from forecasting.prices.audit.values import MOST
from forecasting.prices.bars import Bars

DAYS = np.datetime64("2020-01-01", "us") + np.arange(70) * np.timedelta64(1, "D")
POSITIVE = st.floats(min_value=5e-324, max_value=MOST, allow_subnormal=True)
ANY = st.floats(min_value=-MOST, max_value=MOST)


def panel(transform: str) -> Panel:
    settings_: dict[str, Any] = {"name": "x", "source": {"uri": "x"}, "forecast": {"transform": transform}}
    return Panel.model_validate(settings_)


@pytest.mark.parametrize("transform", ["log", "diff"])
@settings(max_examples=30)
@given(data=st.data())
def test_every_accepted_price_has_a_finite_forecast(transform: str, data: st.DataObject) -> None:
    prices = data.draw(st.lists(POSITIVE if transform == "log" else ANY, min_size=2, max_size=6))
    y = np.resize(np.array(prices), len(DAYS))
    settings_ = panel(transform)
    bars = Bars(("A",), np.array([0, len(y)]), DAYS, y)
    windows = build_windows(settings_, bars, settings_.calendar)
    origin = np.array([len(y) - 1])
    forecasters = [RandomWalk()]
    if (windows.scale > 0).any() and len(set(prices)) > 1:
        forecasters.append(EwmaWalk.fit(windows, DAYS[-1]))
    for forecaster in forecasters:
        fan = windows.to_price(origin, forecaster.predict(windows, origin))
        assert np.isfinite(fan).all()
        assert (np.diff(fan, axis=-1) >= 0).all()
        assert transform == "diff" or (fan >= 0).all()
