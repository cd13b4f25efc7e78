"""Scores: what several candidates lost on the same windows, and how they compare.

Losses are kept in a frame of one row per window and candidate: `candidate`, `unique_id`, `as_of` (the common
date of the windows that start together), `scaled_quantile_loss`, `mase`, `coverage_80` and `coverage_90`.
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
    """One line of a comparison: a candidate over all series.

    Losses are means over series of each series' mean over its windows; ratios are of those means, and below 1
    is better. What is not finite is None.

    Attributes:
        candidate: whose line it is.
        scaled_quantile_loss: in units of the in-sample change.
        mase: in the same units.
        loss_ratio: scaled quantile loss by the random walk's, geometric mean over series.
        loss_ratio_arithmetic: mean over series of the loss, by that of the random walk's.
        mase_ratio: MASE by that of the last value, geometric mean over series.
        skill: 1 - `loss_ratio`.
        skill_to_ewma_walk: the same against the EWMA walk.
        coverage_80: share of all steps inside the 80% interval.
        coverage_90: share of all steps inside the 90% interval.
        series: how many there are.
        windows: how many there are.
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
    """(W, horizon) of the per-bar `values` (N,) at the bars after each origin."""
    after: np.ndarray = sliding_window_view(values, horizon)[origins + 1]
    return after


def forecast_prices(
    forecaster: Forecaster, windows: Windows, origins: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What it says at each origin, in price units: (W, H) point forecasts and (W, H, 11) quantiles."""
    change = forecaster.predict(windows, origins)
    points = windows.to_price(origins, point_change(forecaster, change))
    return points, windows.to_price(origins, change)


def score_windows(
    y: np.ndarray, y_hat: np.ndarray, quantiles: np.ndarray, change: np.ndarray
) -> pd.DataFrame:
    """The losses on W windows of prices `y` and `y_hat` (W, H) and `quantiles` (W, H, 11).

    `change` is the (W,) in-sample change that they are scaled by.
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
    """One score per candidate, in the order in which they appear; both random walks must be among them."""
    return tuple(_score(losses, name) for name in losses["candidate"].unique())


def loss_difference(losses: pd.DataFrame, candidate: str, opponent: str) -> pd.Series:
    """The candidate's loss less the opponent's on each window, by `as_of` and `unique_id`.

    As a share of the series' mean random-walk loss; series on which that loses nothing are left out.
    """
    loss = losses.set_index(["as_of", "unique_id", "candidate"])["scaled_quantile_loss"]
    wide = loss.unstack()  # noqa: PD010 - a pivot table would leave out what is not finite
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
    """(S,) mean over the windows of each series, by name; not finite where any window's is not."""
    own = losses[losses["candidate"] == candidate]
    return own.groupby("unique_id")[metric].mean(skipna=False).to_numpy()


def _finite(value: float) -> float | None:
    """The number, or None: records have no NaN."""
    return float(value) if np.isfinite(value) else None
