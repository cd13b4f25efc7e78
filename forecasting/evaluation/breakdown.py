"""Where a backtest's losses come from: which steps ahead, series, years, quantiles and windows."""

import numpy as np
import pandas as pd

from forecasting.evaluation import metrics
from forecasting.evaluation.predictions import ScoredWindows
from forecasting.evaluation.scores import Score, compare, loss_difference
from forecasting.models.baselines import RandomWalk
from forecasting.quantiles import LEVELS


def by_horizon(windows: ScoredWindows) -> pd.DataFrame:
    """By candidate and step `h`: `skill`, against the random walk, `coverage_80` and `coverage_90`.

    Losses are means over each series' windows, and skill is over series, as in the table of scores.
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
    """By candidate and `unique_id`: `skill`, against the random walk, both coverages, and `windows`.

    Skill is NaN where the random walk loses nothing. `losses` are as `scores` describes them.
    """
    groups = losses.groupby(["candidate", "unique_id"])
    means = groups[["scaled_quantile_loss", "coverage_80", "coverage_90"]].mean()
    loss = means.pop("scaled_quantile_loss")
    reference = loss.loc[RandomWalk.name]
    ratio = loss.div(reference.where(reference > 0), level="unique_id")
    means.insert(0, "skill", 1 - ratio)
    return means.assign(windows=groups.size())


def by_year(losses: pd.DataFrame) -> dict[int, tuple[Score, ...]]:
    """The scores of all candidates on the windows whose common cutoff is in each calendar year."""
    years = losses["as_of"].dt.year
    return {int(year): compare(losses[years == year]) for year in np.unique(years)}


def reliability(windows: ScoredWindows) -> pd.DataFrame:
    """By candidate: the share of all prices below each quantile, a column for each level.

    A price that is the quantile itself, as those of a pegged currency are, counts as half below.
    """
    y = windows.y[..., None]
    below = ((y < windows.quantiles).mean(axis=1) + (y <= windows.quantiles).mean(axis=1)) / 2
    return pd.DataFrame(below, columns=LEVELS).groupby(windows.keys["candidate"]).mean()


def extremes(losses: pd.DataFrame, model: str, count: int) -> tuple[pd.Series, pd.Series]:
    """The windows on which `model` did worst and best against the random walk, the most extreme ones first.

    At most `count` each, and one of a series, as neighbouring windows tell the same story. By `as_of` and
    `unique_id`: its loss less the random walk's, as a share of that series' mean random-walk loss.
    """
    difference = loss_difference(losses, model, RandomWalk.name)
    by_name = difference.groupby("unique_id")
    worst = difference.loc[by_name.idxmax()].nlargest(count)
    best = difference.loc[by_name.idxmin()].nsmallest(count)
    return worst[worst > 0], best[best < 0]
