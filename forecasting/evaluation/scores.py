"""Scores: the losses of several candidates on the same windows, and their comparison.

A frame of losses has one row per window and candidate, and the columns `candidate`, `unique_id`, `as_of` (the
common cutoff of windows), `scaled_quantile_loss`, `mase`, `coverage_80` and `coverage_90`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from forecasting.evaluation import metrics
from forecasting.models.baselines import EwmaWalk, RandomWalk, point_change
from forecasting.models.forecaster import Forecaster
from forecasting.models.windows import Windows
from forecasting.records import Record


@dataclass(frozen=True)
class Score(Record):
    """The scores of one candidate over all series.

    Losses are averaged over the windows of each series, then over series. Ratios compare these means; below 1
    is better. Values that are not finite are None.

    Attributes:
        candidate: the candidate's name.
        scaled_quantile_loss: in units of the in-sample change.
        mase: in the same units.
        loss_ratio: scaled quantile loss relative to the random walk, geometric mean over series.
        loss_ratio_arithmetic: mean loss over series, relative to the random walk's mean loss.
        mase_ratio: MASE relative to the last value as forecast, geometric mean over series.
        skill: 1 - `loss_ratio`.
        skill_to_ewma_walk: the same against the EWMA walk.
        coverage_80: share of all steps in the 80% interval.
        coverage_90: share of all steps in the 90% interval.
        series: the number of series.
        windows: the number of windows.
    """

    candidate: str
    scaled_quantile_loss: float | None
    mase: float | None
    loss_ratio: float | None
    loss_ratio_arithmetic: float | None
    mase_ratio: float | None
    skill: float | None
    skill_to_ewma_walk: float | None
    coverage_80: float
    coverage_90: float
    series: int
    windows: int


def following(values: np.ndarray, origins: np.ndarray, horizon: int) -> np.ndarray:
    """(W, horizon) values of the bars after each origin; `values` is (N,)."""
    after: np.ndarray = sliding_window_view(values, horizon)[origins + 1]
    return after


def forecast_prices(
    forecaster: Forecaster, windows: Windows, origins: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return point forecasts (W, H) and quantiles (W, H, 11) at each origin, in price units."""
    change = forecaster.predict(windows, origins)
    points = windows.to_price(origins, point_change(forecaster, change))
    return points, windows.to_price(origins, change)


def score_windows(
    y: np.ndarray, y_hat: np.ndarray, quantiles: np.ndarray, change: np.ndarray
) -> pd.DataFrame:
    """Return the losses on W windows of prices `y` and `y_hat` (W, H) and `quantiles` (W, H, 11).

    `change` (W,) is the in-sample change, by which the losses are divided.
    """
    return pd.DataFrame(
        {
            "scaled_quantile_loss": metrics.scaled_quantile_loss(y, quantiles, change),
            "mase": metrics.mase(y, y_hat, change),
            "coverage_80": metrics.coverage(y, quantiles, 80),
            "coverage_90": metrics.coverage(y, quantiles, 90),
        }
    )


def compare(losses: pd.DataFrame) -> tuple[Score, ...]:
    """Return one score per candidate, in order of appearance. Both random walks must be among them."""
    return tuple(_score(losses, name) for name in losses["candidate"].unique())


def loss_difference(losses: pd.DataFrame, candidate: str, opponent: str) -> pd.Series:
    """Return the candidate's loss minus the opponent's on each window, by `as_of` and `unique_id`.

    The difference is a share of the series' mean random-walk loss. Series where that loss is 0 are left out.
    """
    loss = losses.set_index(["as_of", "unique_id", "candidate"])["scaled_quantile_loss"]
    wide = loss.unstack()  # noqa: PD010 - a pivot table drops values that are not finite
    reference = wide[RandomWalk.name].groupby("unique_id").transform("mean")
    difference: pd.Series = ((wide[candidate] - wide[opponent]) / reference)[reference > 0]
    return difference


def _score(losses: pd.DataFrame, name: str) -> Score:
    own = losses[losses["candidate"] == name]
    loss, walk_loss, ewma_loss = (
        _series_means(losses, candidate, "scaled_quantile_loss")
        for candidate in (name, RandomWalk.name, EwmaWalk.name)
    )
    mase, walk_mase = (_series_means(losses, candidate, "mase") for candidate in (name, RandomWalk.name))
    return Score(
        candidate=name,
        scaled_quantile_loss=_finite(loss.mean()),
        mase=_finite(mase.mean()),
        loss_ratio=_finite(metrics.geometric_ratio(loss, walk_loss)),
        loss_ratio_arithmetic=_finite(metrics.arithmetic_ratio(loss, walk_loss)),
        mase_ratio=_finite(metrics.geometric_ratio(mase, walk_mase)),
        skill=_finite(metrics.skill(loss, walk_loss)),
        skill_to_ewma_walk=_finite(metrics.skill(loss, ewma_loss)),
        coverage_80=float(own["coverage_80"].mean()),
        coverage_90=float(own["coverage_90"].mean()),
        series=len(loss),
        windows=len(own),
    )


def _series_means(losses: pd.DataFrame, candidate: str, metric: str) -> np.ndarray:
    """(S,) mean over the windows of each series, sorted by name; not finite if any window is not."""
    own = losses[losses["candidate"] == candidate]
    return own.groupby("unique_id")[metric].mean(skipna=False).to_numpy()


def _finite(value: float) -> float | None:
    """Return a finite number, or None, as JSON records have no NaN."""
    return float(value) if np.isfinite(value) else None
