"""Forecast metrics: pure functions on arrays of W windows (any leading shape), H steps and 11 quantiles.

Values are in price units. Scaled metrics are divided by the in-sample mean absolute one-bar change, as in
Hyndman and Koehler, "Another look at measures of forecast accuracy" (2006), so that series can be compared.
"""

import numpy as np
import pandas as pd

from forecasting.quantiles import COLUMNS, LEVELS


def in_sample_change(y: np.ndarray, series: np.ndarray) -> np.ndarray:
    """(N,) mean absolute one-bar change of each bar's series up to that bar; NaN at a series' first bar.

    `y` is (N,), and `series` (N,) has the series of each bar as codes. The bars of a series are contiguous.
    """
    change = np.abs(np.diff(y, prepend=np.nan))
    change[np.diff(series, prepend=-1) != 0] = np.nan
    groups = pd.Series(change).groupby(series)
    totals = groups.cumsum().to_numpy()
    means: np.ndarray = totals / np.maximum(groups.cumcount().to_numpy(), 1)
    return means


def scaled_quantile_loss(y: np.ndarray, quantiles: np.ndarray, change: np.ndarray) -> np.ndarray:
    """(W,) mean over steps and quantiles of 2 x pinball loss, divided by the in-sample change.

    `y` is (W, H), `quantiles` is (W, H, 11), and `change` (W,) is `in_sample_change` at each origin.

    >>> float(scaled_quantile_loss(np.array([[101.0]]), np.full((1, 1, 11), 100.0), np.array([2.0]))[0])
    0.5
    """
    error = y[..., None] - quantiles
    pinball = np.maximum(LEVELS * error, (LEVELS - 1) * error)
    loss: np.ndarray = 2 * pinball.mean(axis=(-2, -1)) / change
    return loss


def mase(y: np.ndarray, y_hat: np.ndarray, change: np.ndarray) -> np.ndarray:
    """(W,) mean absolute scaled error of the point forecasts `y_hat` (W, H)."""
    error: np.ndarray = np.abs(y - y_hat).mean(axis=-1) / change
    return error


def coverage(y: np.ndarray, quantiles: np.ndarray, percent: int) -> np.ndarray:
    """(W,) share of the steps with `y` in the central interval; for 90 percent, from q05 to q95 inclusive."""
    tail = (100 - percent) // 2
    lower, upper = (quantiles[..., COLUMNS.index(f"q{level:02d}")] for level in (tail, 100 - tail))
    share: np.ndarray = ((lower <= y) & (y <= upper)).mean(axis=-1)
    return share


def geometric_ratio(loss: np.ndarray, reference: np.ndarray) -> float:
    """Return the geometric mean over S series of the loss ratio; below 1 is better than the reference.

    Series whose reference loss is 0 are left out. The result is NaN if no series is left.

    >>> geometric_ratio(np.array([1.0, 4.0]), np.array([2.0, 2.0]))
    1.0
    """
    lost = reference > 0
    if not lost.any():
        return float("nan")
    tiny = np.finfo(np.float64).tiny  # a loss of 0 has no logarithm
    return float(np.exp(np.mean(np.log(np.maximum(loss[lost] / reference[lost], tiny)))))


def arithmetic_ratio(loss: np.ndarray, reference: np.ndarray) -> float:
    """Return the ratio of mean losses over S series; NaN if the reference is 0. One series can dominate."""
    return float(loss.mean() / reference.mean()) if reference.any() else float("nan")


def skill(loss: np.ndarray, reference: np.ndarray) -> float:
    """Return 1 - `geometric_ratio`; above 0 is better than the reference."""
    return 1 - geometric_ratio(loss, reference)
