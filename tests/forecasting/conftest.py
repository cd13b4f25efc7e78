"""A small forecast to publish."""

import numpy as np
import pytest

from forecasting.contract import SeriesForecast

HORIZON = 3


@pytest.fixture
def forecast() -> SeriesForecast:
    cutoff = np.array(["2026-10-30", "2026-10-29"], dtype="datetime64[us]")
    steps = np.arange(1, HORIZON + 1) * np.timedelta64(1, "D")
    return SeriesForecast(
        ids=("EURUSD", "BRK/B"),
        cutoff=cutoff,
        y_cutoff=np.array([1.25, 400.0]),
        ds=cutoff[:, None] + steps,
        quantiles=np.array([1.25, 400.0])[:, None, None]
        + np.linspace(-0.1, 0.1, 11) * np.ones((2, HORIZON, 1)),
        model="stacked_lstm",
        version="abc",
    )
