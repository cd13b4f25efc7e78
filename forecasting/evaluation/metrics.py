"""Metrics of forecasts: pure functions on arrays of W windows (any leading shape), H steps and 11 quantiles.

Values are in price units. Whatever is scaled is scaled by the in-sample mean absolute one-bar change, as in
Hyndman and Koehler, "Another look at measures of forecast accuracy" (2006), so that series can be compared.
"""

import numpy as np
import pandas as pd

from forecasting.quantiles import COLUMNS, LEVELS


def in_sample_change(y: np.ndarray, series: np.ndarray) -> np.ndarray:
    """(N,) mean absolute one-bar change of each bar's series up to that bar; NaN at a series' first bar.

    `y` is (N,) and `series` the (N,) codes of the series it belongs to, which lie end to end.
    """
    change = np.abs(np.diff(y, prepend=np.nan))
    change[np.diff(series, prepend=-1) != 0] = np.nan
    groups = pd.Series(change).groupby(series)
    totals = groups.cumsum().to_numpy()
    means: np.ndarray = totals / np.maximum(groups.cumcount().to_numpy(), 1)
    return means


def scaled_quantile_loss(y: np.ndarray, quantiles: np.ndarray, change: np.ndarray) -> np.ndarray:
    """(W,) mean over steps and quantiles of 2 x pinball loss, by the in-sample change.

    `y` is (W, H), `quantiles` (W, H, 11), `change` (W,) of `in_sample_change` at each origin.
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
    """(W,) share of the steps with `y` in the central interval: 90% is q05 to q95, both included."""
    tail = (100 - percent) // 2
    lower, upper = (quantiles[..., COLUMNS.index(f"q{level:02d}")] for level in (tail, 100 - tail))
    share: np.ndarray = ((lower <= y) & (y <= upper)).mean(axis=-1)
    return share


def geometric_ratio(loss: np.ndarray, reference: np.ndarray) -> float:
    """Geometric mean over series of their mean losses (S,) by the reference's; below 1 is better than it.

    Series on which the reference loses nothing are left out; NaN without any other.
    """
    lost = reference > 0
    if not lost.any():
        return float("nan")
    tiny = np.finfo(np.float64).tiny  # no loss at all has no logarithm
    return float(np.exp(np.mean(np.log(np.maximum(loss[lost] / reference[lost], tiny)))))


def arithmetic_ratio(loss: np.ndarray, reference: np.ndarray) -> float:
    """Mean loss over series (S,) by the reference's, which one bad series can decide; NaN if that is 0."""
    return float(loss.mean() / reference.mean()) if reference.any() else float("nan")


def skill(loss: np.ndarray, reference: np.ndarray) -> float:
    """1 - `geometric_ratio`: above 0 is better than the reference."""
    return 1 - geometric_ratio(loss, reference)
