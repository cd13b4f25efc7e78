"""Charts of made-up series."""

import numpy as np

from forecasting.quantiles import LEVELS
from forecasting.reports.charts import Comparison, SeriesChart


def _fan(start: float, horizon: int, scale: float) -> np.ndarray:
    spread = np.linspace(-1.6, 1.6, len(LEVELS))
    return start + scale * np.sqrt(np.arange(1, horizon + 1))[:, None] * spread


def _comparison(ds: np.ndarray, y: np.ndarray, horizon: int, scale: float) -> Comparison:
    return Comparison(
        cutoff=ds[-horizon - 1],
        y_cutoff=y[-horizon - 1],
        ds=ds[-horizon:],
        y=y[-horizon:].copy(),
        quantiles=_fan(y[-horizon - 1] + scale, horizon, scale),
        origin="made on holdout bars the model did not train on",
        skill=0.012,
    )


def series_chart(level: float = 1.1, scale: float = 0.004, horizon: int = 72, unit: str = "D") -> SeriesChart:
    ds = np.datetime64("2025-11-20", unit) + np.arange(400 + horizon)
    y = level + scale * 5 * np.sin(np.arange(400) / 15)
    return SeriesChart(
        unique_id="EURUSD",
        panel="ecb_fx",
        price_label="USD per EUR",
        ds=ds[:400],
        y=y,
        cutoff=ds[399],
        y_cutoff=y[399],
        forecast_ds=ds[400:],
        quantiles=_fan(y[399], horizon, scale),
        model="stacked_lstm",
        comparison=_comparison(ds[:400], y, horizon, scale),
    )
