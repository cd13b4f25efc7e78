"""The gate: a trained model must earn its place on bars that no version was trained on.

There, challenger, champion, the best version on record and both random walks forecast the same windows. Ties
go to the model, which is what the panel asked for; a baseline that is better by more than noise stands in,
until a model is better than it. See `docs/evaluation.md`.
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

# Bars from one date of origins to the next. A prime, so that hourly bars are met at all hours of the day.
ORIGIN_STRIDE = 11
# More windows than this are sampled, by series: enough to tell one per cent, and seconds of work.
MAX_WINDOWS = 5_000
_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Incumbents:
    """Whom a challenger finds in place; none of them was trained on bars of the holdout.

    Attributes:
        champion: the network that publishes until now, if one does.
        best: the best version on record; None where the champion is it.
        stand_in: the name of the baseline that stands in until now, if one does.
    """

    champion: Forecaster | None = None
    best: Forecaster | None = None
    stand_in: str | None = None


class _OneLook(RandomWalk):
    """The random walk that looks at each series' past once, at its first origin, and not at every one."""

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        series = windows.bars.series[origins]
        _, first, which = np.unique(series, return_index=True, return_inverse=True)
        return super().predict(windows, origins[first])[which]


def training_end(calendar: BarCalendar, as_of: np.datetime64, holdout: int) -> np.datetime64:
    """The last bar that a version may be trained on: all but the last `holdout` bars up to `as_of`.

    Raises:
        PanelError: the holdout reaches back to before the calendar's first bar.
    """
    start = as_of
    while len(bars := calendar.bars(start, as_of)) <= holdout:
        start = start - holdout * _DAY
    end: np.datetime64 = bars[-holdout - 1]
    return end


def holdout_origins(windows: Windows, end: np.datetime64) -> np.ndarray:
    """(W,) origins of windows whose targets lie wholly after `end`, on every 11th date from the last back.

    Of more windows than 5,000, those of a sample of the series, always the same.
    """
    origins = windows.after(end)
    dates = np.unique(windows.bars.ds[origins])[::-1][::ORIGIN_STRIDE]
    origins = origins[np.isin(windows.bars.ds[origins], dates)]
    if len(origins) <= MAX_WINDOWS:
        return origins
    series = np.unique(windows.bars.series[origins])
    sample = np.random.default_rng(0).choice(series, max(MAX_WINDOWS // len(dates), 1), replace=False)
    return origins[np.isin(windows.bars.series[origins], sample)]


def judge(
    panel: Panel,
    challenger: Forecaster,
    windows: Windows,
    end: np.datetime64,
    incumbents: Incumbents = Incumbents(),
) -> Verdict:
    """Decide who publishes, on the windows after `end`, the last bar that any of the models was trained on.

    A holdout too short to tell anything is no reason to refuse what the panel asks for: then the challenger
    publishes, and the verdict says that it was not tested. So does the lecture's network, whatever it lost.

    Raises:
        ModelError: no price moves before `end`.
    """
    name = challenger.name
    origins = holdout_origins(windows, end)
    if not len(origins):
        reason = f"The model publishes untested, for no whole window lies after {end}, where training ends."
        return Verdict(name, name, name, reason, gated=False, training_end=str(end))
    networks = {name: challenger, CHAMPION: incumbents.champion, BEST: incumbents.best}
    models = {role: network for role, network in networks.items() if network is not None}
    losses = _meet(models, windows, origins, end)
    overlap = max(windows.horizon / ORIGIN_STRIDE, 1.0)

    def meet(candidate: str, opponent: str) -> Duel:
        return duel(losses, candidate, opponent, overlap)

    choice = choose(meet, name, _able(losses, list(models)[1:]), incumbents.stand_in)
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


def _meet(
    models: dict[str, Forecaster], windows: Windows, origins: np.ndarray, end: np.datetime64
) -> pd.DataFrame:
    """What the models and both baselines lose on the same windows, as `scores` describes it."""
    bars = windows.bars
    y = following(bars.y, origins, windows.horizon)
    change = metrics.in_sample_change(bars.y, bars.series)[origins]
    key = {"unique_id": np.array(bars.ids, dtype=object)[bars.series[origins]], "as_of": bars.ds[origins]}
    candidates = models | {EwmaWalk.name: EwmaWalk.fit(windows, end), RandomWalk.name: _OneLook()}
    losses = [
        score_windows(y, *forecast_prices(candidate, windows, origins), change).assign(candidate=name, **key)
        for name, candidate in candidates.items()
    ]
    return pd.concat(losses, ignore_index=True)


def duel(losses: pd.DataFrame, candidate: str, opponent: str, overlap: float) -> Duel:
    """Compare two candidates on the windows of `losses`, which `scores` describes, date by date.

    Targets of neighbouring dates share bars, and losses move together as sums of `overlap` terms do: T dates
    are worth T / overlap independent ones, and the standard error is that of so few.
    """
    difference = loss_difference(losses, candidate, opponent)
    if not np.isfinite(difference).all():
        return Duel(candidate, opponent, None, None)
    by_date = difference.groupby("as_of").mean().to_numpy()
    independent = len(by_date) / overlap
    error = float(np.sqrt(by_date.var() / (independent - 1))) if independent > 1 else None
    return Duel(candidate, opponent, float(by_date.mean()), error)


def _able(losses: pd.DataFrame, incumbents: list[str]) -> list[str]:
    """Those of them that forecast finite prices: the others cannot hold a place."""
    finite = np.isfinite(losses["scaled_quantile_loss"]).groupby(losses["candidate"]).all()
    return [role for role in incumbents if finite[role]]


# Compares two candidates by name on the holdout.
Meet = Callable[[str, str], Duel]


@dataclass(frozen=True)
class Choice:
    """Who publishes, and why.

    Attributes:
        publishes: the candidate that does.
        best: the candidate that is the best version on record from now on.
        stood_in: the baseline that has stood in until now, if one has.
        among_networks: the duels of the networks.
        last: that of the best of them with the better random walk, which decided.
        other: the same with the other random walk.
    """

    publishes: str
    best: str
    stood_in: str | None
    among_networks: tuple[Duel, ...]
    last: Duel
    other: Duel

    @property
    def duels(self) -> tuple[Duel, ...]:
        """All of them, the last one last."""
        return (*self.among_networks, self.other, self.last)


def choose(meet: Meet, challenger: str, incumbents: list[str], stand_in: str | None) -> Choice:
    """Who publishes: the network that holds against the others, or else a random walk.

    `incumbents` are those of `champion` and `best` that are there, in this order; `stand_in` is the baseline
    that stands in until now, if one does.
    """
    model, best, among_networks = _choose_network(meet, challenger, incumbents)
    better, worse = EwmaWalk.name, RandomWalk.name
    walks = meet(better, worse)
    if walks.difference and walks.difference > 0:
        better, worse = worse, better
    last = meet(model, better)
    # Noise that turned a model away must not let it in again, and out, from week to week.
    passes = last.better if stand_in else not last.lost
    # Neither does one walk make way for the other by noise.
    walk = worse if stand_in == worse and not meet(worse, better).lost else better
    return Choice(model if passes else walk, best, stand_in, among_networks, last, meet(model, worse))


def _choose_network(meet: Meet, challenger: str, incumbents: list[str]) -> tuple[str, str, tuple[Duel, ...]]:
    """Which network goes on to meet the baselines, which one is the best on record, and their duels.

    The fresher one wins a tie, but every challenger also meets the best on record, and not only the one
    before it: so a chain of ties, each with a slightly better one, leads nowhere.
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
    """What decided, in one sentence: the last duel, and the one that the challenger lost before."""
    tested = f"on {windows} held-out windows {_outcome(choice.last)}"
    if ungated:
        return f"The preset publishes whatever it is worth: {tested}."
    defeat = next((one for one in choice.among_networks if one.lost), None)
    refused = "" if defeat is None else f"; the challenger was refused, for {_outcome(defeat)}"
    return f"{_headline(choice)}: {tested}{refused}."


def _headline(choice: Choice) -> str:
    last, publishes = choice.last, choice.publishes
    if publishes != last.candidate:
        goes_on = publishes == choice.stood_in and not last.lost
        return (
            f"{publishes} goes on standing in, for no model is better"
            if goes_on
            else f"{publishes} stands in"
        )
    if last.standard_error is None:
        return f"{publishes} publishes untested, for the holdout is too short to tell"
    if choice.stood_in is not None:
        return f"{publishes} earns the place back"
    return f"{publishes} publishes" if last.better else f"{publishes} publishes, for ties go to the model"


def _outcome(last: Duel) -> str:
    if last.difference is None:
        return f"the forecasts of {last.candidate} are not all finite"
    side = "above" if last.difference > 0 else "below"
    noise = "" if last.standard_error is None else f", give or take {last.standard_error:.1%}"
    of = "" if last.opponent == RandomWalk.name else " of the random walk's"
    amount = f"{abs(last.difference):.1%}{of}{noise}"
    return f"the loss of {last.candidate} was {side} that of {last.opponent} by {amount}"


def _by_series(losses: pd.DataFrame, publishes: str) -> dict[str, SeriesScore]:
    """What publishes, on each series' windows."""
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
