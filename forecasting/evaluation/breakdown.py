"""Breakdowns of a backtest's losses by step ahead, series, year, quantile and window."""

import numpy as np
import pandas as pd

from forecasting.evaluation import metrics
from forecasting.evaluation.predictions import ScoredWindows
from forecasting.evaluation.scores import Score, compare, loss_difference
from forecasting.models.baselines import RandomWalk
from forecasting.quantiles import LEVELS


def by_horizon(windows: ScoredWindows) -> pd.DataFrame:
    """Return `skill` against the random walk, `coverage_80` and `coverage_90`, by candidate and step `h`.

    As in the table of scores, losses are averaged over each series' windows, and skill is over series.
    """
    steps = pd.RangeIndex(1, windows.y.shape[1] + 1, name="h")
    candidates = windows.keys["candidate"]
    losses = pd.DataFrame(windows.step_losses).groupby([candidates, windows.keys["unique_id"]]).mean()
    reference = losses.loc[RandomWalk.name].to_numpy()
    inside = {f"coverage_{percent}": windows.inside(percent) for percent in (80, 90)}
    frames = {}
    for name in candidates.unique():
        own = losses.loc[name].to_numpy()
        columns = {"skill": [metrics.skill(*step) for step in zip(own.T, reference.T, strict=True)]}
        means = {column: share[candidates == name].mean(axis=0) for column, share in inside.items()}
        frames[name] = pd.DataFrame(columns | means, index=steps)
    return pd.concat(frames, names=["candidate"])


def by_series(losses: pd.DataFrame) -> pd.DataFrame:
    """Return `skill` against the random walk, both coverages and `windows`, by candidate and `unique_id`.

    Skill is NaN if the random walk's loss is 0. `losses` is a frame as described in `scores`.
    """
    groups = losses.groupby(["candidate", "unique_id"])
    means = groups[["scaled_quantile_loss", "coverage_80", "coverage_90"]].mean()
    loss = means.pop("scaled_quantile_loss")
    reference = loss.loc[RandomWalk.name]
    ratio = loss.div(reference.where(reference > 0), level="unique_id")
    means.insert(0, "skill", 1 - ratio)
    return means.assign(windows=groups.size())


def by_year(losses: pd.DataFrame) -> dict[int, tuple[Score, ...]]:
    """Return the scores of all candidates by calendar year of the common cutoff."""
    years = losses["as_of"].dt.year
    return {int(year): compare(losses[years == year]) for year in np.unique(years)}


def reliability(windows: ScoredWindows) -> pd.DataFrame:
    """Return the share of prices below each quantile, with a row per candidate and a column per level.

    A price that equals the quantile, as with a pegged currency, counts as half below.
    """
    y = windows.y[..., None]
    below = ((y < windows.quantiles).mean(axis=1) + (y <= windows.quantiles).mean(axis=1)) / 2
    return pd.DataFrame(below, columns=LEVELS).groupby(windows.keys["candidate"]).mean()


def extremes(losses: pd.DataFrame, model: str, count: int) -> tuple[pd.Series, pd.Series]:
    """Return the windows on which `model` was worst and best against the random walk, most extreme first.

    There are at most `count` of each, and at most one per series, as neighbouring windows are similar.

    Returns:
        The model's loss minus the random walk's, as a share of the series' mean random-walk loss, indexed by
        `as_of` and `unique_id`: first the worst windows, then the best.
    """
    difference = loss_difference(losses, model, RandomWalk.name)
    by_name = difference.groupby("unique_id")
    worst = difference.loc[by_name.idxmax()].nlargest(count)
    best = difference.loc[by_name.idxmin()].nsmallest(count)
    return worst[worst > 0], best[best < 0]
