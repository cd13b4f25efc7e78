"""The outcome of a test on held-out bars: who was compared, by how much they differ, and who publishes."""

from dataclasses import dataclass, field

from forecasting.evaluation.scores import Score
from forecasting.records import Record

# Roles at the gate, beside the challenger's and the baselines' own names.
CHAMPION = "champion"
# The best version on record, which every challenger must hold against, where it is not the champion.
BEST = "best"

# A difference of more standard errors than this is not noise. At one, a model no better than the baseline is
# turned away one time in six, at no cost; at two, intervals of half the width pass seven times in eight.
NOISE = 1.0
# A version becomes the best on record only when it is better by this many standard errors; otherwise luck
# would lower the standard now and then. In a simulation of 2,000 versions, each 0.02 standard errors worse
# than the one before, the publisher was on average 0.4 standard errors worse than the first; with 1.0 it was
# 17.
RECORD_NOISE = 2.0
# A difference below this share of the random walk's loss never changes the publisher, however certain it is:
# a network that learnt nothing differs from its starting point by rounding errors.
TIE = 0.001


@dataclass(frozen=True)
class Duel(Record):
    """How one candidate compares with another on the holdout.

    Attributes:
        candidate: the first candidate.
        opponent: the second candidate.
        difference: the candidate's loss minus the opponent's, as a share of the random walk's loss: the mean
            over dates of the mean over series of (difference / the series' mean random-walk loss). None when
            a loss is not finite.
        standard_error: standard error of `difference` over dates. None when the holdout is too short.
    """

    candidate: str
    opponent: str
    difference: float | None
    standard_error: float | None

    @property
    def lost(self) -> bool:
        """Whether the candidate is worse by more than noise, or its forecasts are not finite."""
        if self.difference is None:
            return True
        return self.standard_error is not None and self.difference > max(NOISE * self.standard_error, TIE)

    @property
    def better(self) -> bool:
        """Whether the candidate's loss is smaller, by noise or not."""
        return self.difference is not None and self.difference < 0

    @property
    def is_record(self) -> bool:
        """Whether the candidate is better by so much that luck explains it one time in forty."""
        if self.difference is None or self.standard_error is None:
            return False
        return -self.difference > max(RECORD_NOISE * self.standard_error, TIE)


@dataclass(frozen=True)
class SeriesScore(Record):
    """What the publisher was worth on one series of the holdout; None where a figure is not finite.

    Attributes:
        skill: 1 - its mean loss / the random walk's.
        coverage_80: share of prices inside the 80% interval.
        coverage_90: share of prices inside the 90% interval.
        windows: number of windows.
    """

    skill: float | None = None
    coverage_80: float | None = None
    coverage_90: float | None = None
    windows: float | None = None


@dataclass(frozen=True)
class Verdict(Record):
    """Who publishes, and why.

    Attributes:
        publishes: the candidate that publishes: the challenger's name, `champion`, `best`, or a baseline's
            name.
        model: the name of its model, for the forecast's `model` column.
        best: the candidate that is the best version on record from now on, whoever publishes.
        reason: one sentence.
        gated: whether the holdout decided: False when it is too short, and for the lecture's network.
        training_end: the last bar that a version may have been trained on.
        dates: number of dates that the windows start from.
        windows: number of windows.
        table: each candidate's score.
        duels: the comparisons that were made; the last one decided.
        series: the publisher's score on the holdout by series id.
        versions: model version by candidate.
    """

    publishes: str
    model: str
    best: str
    reason: str
    gated: bool
    training_end: str
    dates: int = 0
    windows: int = 0
    table: tuple[Score, ...] = ()
    duels: tuple[Duel, ...] = ()
    series: dict[str, SeriesScore] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def challenger(self) -> str:
        """The challenger's name: networks of the same kind share it."""
        return self.table[0].candidate if self.table else self.model

    @property
    def score(self) -> Score | None:
        """The publisher's score; None where the holdout is too short for one."""
        return next((one for one in self.table if one.candidate == self.publishes), None)

    def score_of(self, version: str) -> Score | None:
        """Return the score of a model version; None where it did not compete."""
        return next((one for one in self.table if self.versions.get(one.candidate) == version), None)

    def name_of(self, candidate: str) -> str:
        """Return a candidate's name with its version, where it has one."""
        return f"{candidate} {self.versions[candidate]}" if candidate in self.versions else candidate
