"""The gate: compares a trained model with the others on bars that no version was trained on.

The challenger, the champion, the best version on record and both random walks forecast the same held-out
windows. A tie goes to the model, because the panel asked for one. A baseline that is better by more than
noise publishes instead, until a model beats it. See `docs/evaluation.md`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecasting.calendar import BarCalendar
from forecasting.evaluation import metrics
from forecasting.evaluation.scores import (
    compare,
    following,
    forecast_prices,
    loss_difference,
    score_windows,
)
from forecasting.evaluation.verdict import BEST, CHAMPION, Duel, SeriesScore, Verdict
from forecasting.models.baselines import EwmaWalk, RandomWalk
from forecasting.models.forecaster import Forecaster
from forecasting.models.presets import preset_of
from forecasting.models.windows import Windows
from forecasting.panel import Panel

# Bars between two dates of origins. Prime, so that origins of hourly bars cover all hours of the day.
ORIGIN_STRIDE = 11
# Larger holdouts are sampled by series. This many windows resolve a difference of 1% and take seconds.
MAX_WINDOWS = 5_000
# With fewer series than this, every series counts; with more, the most extreme ones do not.
FEW_SERIES = 4
_DAY = np.timedelta64(1, "D")
_ROLES = {CHAMPION: "champion", BEST: "best version on record"}


@dataclass(frozen=True)
class Incumbents:
    """The publishers that a challenger competes with. None was trained on bars of the holdout.

    Attributes:
        champion: the network that publishes now; None if a baseline does.
        best: the best version on record; None if the champion is the best, or there is none.
        stand_in: the name of the baseline that publishes now; None if a network does.
    """

    champion: Forecaster | None = None
    best: Forecaster | None = None
    stand_in: str | None = None


class _FittedOnce(RandomWalk):
    """The random walk fitted once for each series, at the series' first origin, instead of at every one."""

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        series = windows.bars.series[origins]
        _, first, which = np.unique(series, return_index=True, return_inverse=True)
        return super().predict(windows, origins[first])[which]


def training_end(calendar: BarCalendar, as_of: np.datetime64, holdout: int) -> np.datetime64:
    """Return the last bar that a version may be trained on: `holdout` bars before `as_of`.

    Raises:
        PanelError: the holdout starts before the calendar's first bar.
    """
    start = as_of
    while len(bars := calendar.bars(start, as_of)) <= holdout:
        start = start - holdout * _DAY
    end: np.datetime64 = bars[-holdout - 1]
    return end


def holdout_origins(windows: Windows, end: np.datetime64) -> np.ndarray:
    """Return the origins of windows whose whole target lies after `end`.

    Origins are on every 11th date, counted back from the last. If there are more than 5,000 windows, only
    those of a sample of the series count; the sample is always the same.

    Returns:
        (W,) positions in the bars.
    """
    origins = windows.after(end)
    dates = np.unique(windows.bars.ds[origins])[::-1][::ORIGIN_STRIDE]
    origins = origins[np.isin(windows.bars.ds[origins], dates)]
    if len(origins) <= MAX_WINDOWS:
        return origins
    series = np.unique(windows.bars.series[origins])
    sample = np.random.default_rng(0).choice(series, max(MAX_WINDOWS // len(dates), 1), replace=False)
    return origins[np.isin(windows.bars.series[origins], sample)]


def untested(name: str, end: np.datetime64) -> Verdict:
    """The verdict on a network without a test on this panel: it publishes, and says so.

    The history is shorter than the holdout and one window together, so that no baseline can be fitted before
    the holdout.
    """
    reason = (
        f"{name} publishes, not yet tested on this panel: the history is shorter than holdout and one window."
    )
    return Verdict(name, name, name, reason, gated=False, training_end=str(end))


def judge(
    panel: Panel,
    challenger: Forecaster,
    windows: Windows,
    end: np.datetime64,
    incumbents: Incumbents = Incumbents(),
) -> Verdict:
    """Decide who publishes, on the windows after `end`, the last bar that any of the models was trained on.

    If the holdout is too short for a test, the challenger publishes and the verdict says that it is untested.
    The lecture's network always publishes, whatever its loss.

    Raises:
        ModelError: no price moves before `end`.
    """
    name = challenger.name
    origins = holdout_origins(windows, end)
    if not len(origins):
        last_bar = str(end)[:16].removesuffix("T00:00")
        reason = (
            f"{name} publishes untested: training ends at {last_bar}, and no complete window lies after it."
        )
        return Verdict(name, name, name, reason, gated=False, training_end=str(end))
    networks = {name: challenger, CHAMPION: incumbents.champion, BEST: incumbents.best}
    models = {role: network for role, network in networks.items() if network is not None}
    losses = _score(models, windows, origins, end)
    overlap = max(windows.horizon / ORIGIN_STRIDE, 1.0)

    def meet(candidate: str, opponent: str) -> Duel:
        return duel(losses, candidate, opponent, overlap)

    choice = choose(meet, name, _finite(losses, list(models)[1:]), incumbents.stand_in)
    ungated = not preset_of(panel).gated
    publishes = name if ungated else choice.publishes
    last = choice.last
    return Verdict(
        publishes=publishes,
        model=models[publishes].name if publishes in models else publishes,
        best=choice.best,
        reason=_reason(choice, len(origins), ungated=ungated),
        gated=not ungated and (last.lost or last.standard_error is not None),
        training_end=str(end),
        dates=losses["as_of"].nunique(),
        windows=len(origins),
        table=compare(losses),
        duels=choice.duels,
        series=_by_series(losses, publishes),
    )


def _score(
    models: dict[str, Forecaster], windows: Windows, origins: np.ndarray, end: np.datetime64
) -> pd.DataFrame:
    """The losses of the models and both baselines on the same windows, in the columns of `score_windows`."""
    bars = windows.bars
    y = following(bars.y, origins, windows.horizon)
    change = metrics.in_sample_change(bars.y, bars.series)[origins]
    key = {"unique_id": np.array(bars.ids, dtype=object)[bars.series[origins]], "as_of": bars.ds[origins]}
    candidates = models | {EwmaWalk.name: EwmaWalk.fit(windows, end), RandomWalk.name: _FittedOnce()}
    losses = [
        score_windows(y, *forecast_prices(candidate, windows, origins), change).assign(candidate=name, **key)
        for name, candidate in candidates.items()
    ]
    return pd.concat(losses, ignore_index=True)


def duel(losses: pd.DataFrame, candidate: str, opponent: str, overlap: float) -> Duel:
    """Compare two candidates by their mean loss difference over dates.

    The most extreme series on either side do not count: one absurd series must not decide for all the others.
    Targets of neighbouring dates share bars, so their losses are correlated like sums of `overlap` terms. The
    standard error therefore counts T dates as T / `overlap` independent ones.

    Args:
        losses: the losses by window, in the columns of `score_windows`.
        candidate: the first candidate.
        opponent: the second candidate.
        overlap: number of dates whose targets share bars.
    """
    difference = loss_difference(losses, candidate, opponent)
    if not np.isfinite(difference).all():
        return Duel(candidate, opponent, None, None)
    by_date = _without_extremes(difference).groupby("as_of").mean().to_numpy()
    independent = len(by_date) / overlap
    error = float(np.sqrt(by_date.var() / (independent - 1))) if independent > 1 else None
    return Duel(candidate, opponent, float(by_date.mean()), error)


def _without_extremes(difference: pd.Series) -> pd.Series:
    """Leave out the series with the smallest and the largest mean difference.

    One in twenty on each side, at least one; none of fewer than `FEW_SERIES`, where each one matters. Leaving
    out as many on both sides favours neither candidate.
    """
    by_series = difference.groupby("unique_id").mean().sort_values()
    if len(by_series) < FEW_SERIES:
        return difference
    count = max(len(by_series) // 20, 1)
    kept: pd.Series = difference[difference.index.isin(by_series.index[count:-count], level="unique_id")]
    return kept


def _finite(losses: pd.DataFrame, incumbents: list[str]) -> list[str]:
    """The incumbents whose losses are all finite. The others cannot publish."""
    finite = np.isfinite(losses["scaled_quantile_loss"]).groupby(losses["candidate"]).all()
    return [role for role in incumbents if finite[role]]


# Compares two candidates by name on the holdout.
Meet = Callable[[str, str], Duel]


@dataclass(frozen=True)
class Choice:
    """Who publishes, and why.

    Attributes:
        publishes: the candidate that publishes.
        best: the candidate that is the best version on record from now on.
        stood_in: the baseline that published until now; None if a network did.
        among_networks: the networks' duels with each other.
        last: the deciding duel: the chosen network against the better random walk.
        other: the chosen network's duel with the other random walk.
    """

    publishes: str
    best: str
    stood_in: str | None
    among_networks: tuple[Duel, ...]
    last: Duel
    other: Duel

    @property
    def duels(self) -> tuple[Duel, ...]:
        """All duels; the deciding one is last."""
        return (*self.among_networks, self.other, self.last)


def choose(meet: Meet, challenger: str, incumbents: list[str], stand_in: str | None) -> Choice:
    """Choose who publishes: the best network, or a random walk if that network loses to it.

    Args:
        meet: compares two candidates by name.
        challenger: the challenger's name.
        incumbents: `champion` and `best`, in this order, as far as they compete.
        stand_in: the baseline that publishes now; None if a network does.
    """
    model, best, among_networks = _choose_network(meet, challenger, incumbents)
    better, worse = EwmaWalk.name, RandomWalk.name
    walks = meet(better, worse)
    if walks.difference and walks.difference > 0:
        better, worse = worse, better
    last = meet(model, better)
    # Avoid flapping: a replaced model must win outright, not just tie.
    passes = last.better if stand_in else not last.lost
    # Nor does noise replace one random walk by the other.
    walk = worse if stand_in == worse and not meet(worse, better).lost else better
    return Choice(model if passes else walk, best, stand_in, among_networks, last, meet(model, worse))


def _choose_network(meet: Meet, challenger: str, incumbents: list[str]) -> tuple[str, str, tuple[Duel, ...]]:
    """Return the network that meets the baselines, the best version on record, and the networks' duels.

    A tie goes to the newer network. Every challenger must also hold against the best version on record, not
    only against the champion; otherwise a chain of ties, each slightly worse, could lower the standard.
    """
    if not incumbents:
        return challenger, challenger, ()
    best = incumbents[-1]
    duels = tuple(meet(challenger, incumbent) for incumbent in incumbents)
    if not any(one.lost for one in duels):
        return challenger, challenger if duels[-1].is_record else best, duels
    if len(incumbents) == 1:
        return best, best, duels
    defence = meet(CHAMPION, BEST)
    return (BEST if defence.lost else CHAMPION), CHAMPION if defence.is_record else BEST, (*duels, defence)


def _reason(choice: Choice, windows: int, *, ungated: bool) -> str:
    """The reason in one sentence: the deciding duel, and the duel that the challenger lost before, if any."""
    tested = f"on {windows} held-out windows {_outcome(choice.last)}"
    if ungated:
        return f"The preset publishes whatever its loss: {tested}."
    defeat = next((one for one in choice.among_networks if one.lost), None)
    refused = "" if defeat is None else f"; the challenger was refused, because {_outcome(defeat)}"
    return f"{_headline(choice)}: {tested}{refused}."


def _headline(choice: Choice) -> str:
    last, publishes = choice.last, _named(choice.publishes, "The")
    if choice.publishes != last.candidate:
        if choice.publishes == choice.stood_in and not last.lost:
            return f"{publishes} keeps publishing, because no model is better"
        return f"{publishes} publishes instead of {_named(last.candidate)}"
    if last.standard_error is None:
        return f"{publishes} publishes untested, because the holdout is too short for a test"
    if choice.stood_in is not None:
        return f"{publishes} replaces {choice.stood_in}"
    return (
        f"{publishes} publishes" if last.better else f"{publishes} publishes, because a tie goes to the model"
    )


def _outcome(duel: Duel) -> str:
    candidate, opponent = _named(duel.candidate), _named(duel.opponent)
    if duel.difference is None:
        return f"some forecasts of {candidate} are not finite numbers"
    way = "higher" if duel.difference > 0 else "lower"
    uncertainty = "" if duel.standard_error is None else f" (uncertainty {duel.standard_error:.1%})"
    return (
        f"the loss of {candidate} was {abs(duel.difference):.1%} {way} than that of {opponent}{uncertainty}"
    )


def _named(candidate: str, article: str = "the") -> str:
    return f"{article} {_ROLES[candidate]}" if candidate in _ROLES else candidate


def _by_series(losses: pd.DataFrame, publishes: str) -> dict[str, SeriesScore]:
    """The publisher's score by series."""
    by_series = losses[losses["candidate"] == publishes].groupby("unique_id")
    walk = losses[losses["candidate"] == RandomWalk.name].groupby("unique_id")["scaled_quantile_loss"].mean()
    ratio = by_series["scaled_quantile_loss"].mean() / walk.where(walk > 0)
    summary = (
        by_series[["coverage_80", "coverage_90"]].mean().assign(skill=1 - ratio, windows=by_series.size())
    )
    return {
        str(name): SeriesScore(
            **{str(key): value if np.isfinite(value) else None for key, value in row.items()}
        )
        for name, row in summary.to_dict("index").items()
    }
