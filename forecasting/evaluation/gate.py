"""The gate: a trained model must earn its place on bars that no version was trained on.

There, challenger, champion and both random walks forecast the same windows. Ties go to the model, which is
what the panel asked for; a baseline that is better by more than noise stands in. See `docs/evaluation.md`.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from forecasting.calendar import BarCalendar
from forecasting.evaluation import metrics
from forecasting.evaluation.scores import Score, compare, following, forecast_prices, score_windows
from forecasting.models.baselines import EwmaWalk, RandomWalk
from forecasting.models.forecaster import Forecaster
from forecasting.panel import Panel
from forecasting.windows import Windows

CHAMPION = "champion"
# Bars from one date of origins to the next. A prime, so that hourly bars are met at all hours of the day.
ORIGIN_STRIDE = 11
# More windows than this are sampled, by series: enough to tell one per cent, and seconds of work.
MAX_WINDOWS = 5_000
# A difference of more standard errors than this is not noise. At one, a model no better than the baseline is
# turned away one time in six, at no cost; at two, intervals of half the width pass seven times in eight.
NOISE = 1.0
# Nor is less than this share of the random walk's loss worth a change, however sure: a network that learnt
# nothing differs from the walk that it starts from by rounding.
TIE = 0.001

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Duel:
    """How one candidate does against another on the holdout.

    Attributes:
        candidate: one of them.
        opponent: the other.
        difference: the candidate's loss less the opponent's, as a share of the random walk's: the mean over
            dates of the mean over series of (difference / that series' mean random-walk loss). None when a
            loss is not finite.
        standard_error: of that mean over dates. None when the holdout is too short for one.
    """

    candidate: str
    opponent: str
    difference: float | None
    standard_error: float | None

    @property
    def lost(self) -> bool:
        """Whether the candidate is worse by more than noise, or does not even forecast finite prices."""
        if self.difference is None:
            return True
        return self.standard_error is not None and self.difference > max(NOISE * self.standard_error, TIE)


@dataclass(frozen=True)
class Verdict:
    """Who publishes, and why.

    Attributes:
        publishes: the candidate that publishes: the challenger's name, `champion`, or a baseline's name.
        model: the name of its model, for the forecast's `model` column.
        reason: one sentence.
        gated: whether the holdout had a say: not when it is too short, nor for the lecture's network.
        training_end: the last bar that a version may have been trained on.
        dates: how many dates the windows start from.
        windows: how many windows there are.
        table: each candidate's score.
        duels: the comparisons that decided.
        series: id -> `skill`, `coverage_80`, `coverage_90` and `windows` of what publishes, on the holdout.
    """

    publishes: str
    model: str
    reason: str
    gated: bool
    training_end: str
    dates: int = 0
    windows: int = 0
    table: tuple[Score, ...] = ()
    duels: tuple[Duel, ...] = ()
    series: dict[str, dict[str, float | None]] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """As a JSON-able record."""
        return asdict(self)


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
    champion: Forecaster | None = None,
) -> Verdict:
    """Decide who publishes, on the windows after `end`, the last bar that any of the models was trained on.

    A holdout too short to tell anything is no reason to refuse what the panel asks for: then the challenger
    publishes, and the verdict says that it was not tested. So does the lecture's network, whatever it lost.

    Raises:
        ModelError: no price moves before `end`.
    """
    origins = holdout_origins(windows, end)
    if not len(origins):
        reason = f"The model publishes untested, for no whole window lies after {end}, where training ends."
        return Verdict(challenger.name, challenger.name, reason, gated=False, training_end=str(end))
    models = {challenger.name: challenger} | ({CHAMPION: champion} if champion else {})
    losses = _meet(models, windows, origins, end)
    duels = _duels(losses, challenger.name, max(windows.horizon / ORIGIN_STRIDE, 1.0))
    last = duels[-1]
    ungated = panel.model.preset == "lecture"
    publishes = challenger.name if ungated else last.opponent if last.lost else last.candidate
    return Verdict(
        publishes=publishes,
        model=models[publishes].name if publishes in models else publishes,
        reason=_reason(last, len(origins), ungated=ungated),
        gated=not ungated and (last.lost or last.standard_error is not None),
        training_end=str(end),
        dates=losses["as_of"].nunique(),
        windows=len(origins),
        table=compare(losses),
        duels=duels,
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
    wide = losses.set_index(["as_of", "unique_id", "candidate"])["scaled_quantile_loss"].unstack()  # noqa: PD010
    reference = wide[RandomWalk.name].groupby("unique_id").transform("mean")
    difference = ((wide[candidate] - wide[opponent]) / reference)[reference > 0]
    if not np.isfinite(difference).all():
        return Duel(candidate, opponent, None, None)
    by_date = difference.groupby("as_of").mean().to_numpy()
    independent = len(by_date) / overlap
    error = float(np.sqrt(by_date.var() / (independent - 1))) if independent > 1 else None
    return Duel(candidate, opponent, float(by_date.mean()), error)


def _duels(losses: pd.DataFrame, challenger: str, overlap: float) -> tuple[Duel, ...]:
    """The challenger against the champion, if there is one; the better of them against the better walk."""
    has_champion = (losses["candidate"] == CHAMPION).any()
    first = [duel(losses, challenger, CHAMPION, overlap)] if has_champion else []
    model = CHAMPION if any(one.lost for one in first) else challenger
    walks = duel(losses, EwmaWalk.name, RandomWalk.name, overlap)
    walk = RandomWalk.name if walks.difference and walks.difference > 0 else EwmaWalk.name
    return *first, duel(losses, model, walk, overlap)


def _reason(last: Duel, windows: int, *, ungated: bool) -> str:
    """The last duel in one sentence."""
    tested = f"on {windows} held-out windows {_outcome(last)}"
    if ungated:
        return f"The preset publishes whatever it is worth: {tested}."
    if last.lost:
        return f"{last.opponent} stands in: {tested}."
    if last.standard_error is None:
        return f"{last.candidate} publishes untested, for the holdout is too short to tell: {tested}."
    if last.difference is not None and last.difference > 0:
        return f"{last.candidate} publishes, for ties go to the model: {tested}."
    return f"{last.candidate} publishes: {tested}."


def _outcome(last: Duel) -> str:
    if last.difference is None:
        return f"the forecasts of {last.candidate} are not all finite"
    side = "above" if last.difference > 0 else "below"
    noise = "" if last.standard_error is None else f", give or take {last.standard_error:.1%}"
    of = "" if last.opponent == RandomWalk.name else " of the random walk's"
    amount = f"{abs(last.difference):.1%}{of}{noise}"
    return f"the loss of {last.candidate} was {side} that of {last.opponent} by {amount}"


def _by_series(losses: pd.DataFrame, publishes: str) -> dict[str, dict[str, float | None]]:
    """What publishes, on each series' windows."""
    by_series = losses[losses["candidate"] == publishes].groupby("unique_id")
    walk = losses[losses["candidate"] == RandomWalk.name].groupby("unique_id")["scaled_quantile_loss"].mean()
    ratio = by_series["scaled_quantile_loss"].mean() / walk.where(walk > 0)
    summary = (
        by_series[["coverage_80", "coverage_90"]].mean().assign(skill=1 - ratio, windows=by_series.size())
    )
    return {
        str(name): {str(key): value if np.isfinite(value) else None for key, value in row.items()}
        for name, row in summary.to_dict("index").items()
    }
