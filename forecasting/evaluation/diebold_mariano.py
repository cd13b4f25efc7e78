"""The Diebold-Mariano test: is one forecast significantly better than another?

Sources: Diebold and Mariano, "Comparing predictive accuracy" (1995), with the variance of Newey and West, "A
simple, positive semi-definite, heteroskedasticity and autocorrelation consistent covariance matrix" (1987),
and the correction for small samples of Harvey, Leybourne and Newbold, "Testing the equality of prediction
mean squared errors" (1997).
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecasting.evaluation.scores import loss_difference
from forecasting.models.baselines import EwmaWalk, RandomWalk

# With fewer dates than this, or than four times the overlap, the variance cannot be estimated.
MIN_DATES = 8
MIN_INDEPENDENT = 4
# A difference with a p-value below this is called significant.
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class DieboldMariano:
    """The test of one candidate against another, over the dates of a backtest.

    Attributes:
        candidate: the candidate that is tested.
        opponent: the candidate that it is compared with.
        difference: mean of the candidate's loss minus the opponent's, as a share of the random walk's loss.
            Below 0, the candidate is better. None if a loss is not finite.
        dates: the number of dates in the mean.
        lag: the longest lag, in dates, whose autocovariance counts.
        standard_error: the standard error of `difference`, corrected for small samples. This attribute and
            the next two are None if there are too few dates or the losses never differ.
        statistic: `difference` in standard errors.
        p_value: two-sided; the probability of a difference at least this large by chance.
    """

    candidate: str
    opponent: str
    difference: float | None
    dates: int
    lag: int
    standard_error: float | None = None
    statistic: float | None = None
    p_value: float | None = None

    @property
    def verdict(self) -> str:
        """The result of the test in a few words."""
        if self.difference is None:
            return "a loss is not finite"
        if self.p_value is None:
            return "the same" if self.difference == 0 else "too few cutoffs to tell"
        if self.p_value >= SIGNIFICANT:
            return "could be luck"
        return "better" if self.difference < 0 else "worse"


def run_tests(losses: pd.DataFrame, model: str, overlap: int) -> tuple[DieboldMariano, ...]:
    """The model against both random walks, and these against each other.

    Args:
        losses: as `scores` describes them.
        model: a candidate in it.
        overlap: how many dates a target spans: the horizon by the stride, rounded up.
    """
    pairs = ((model, RandomWalk.name), (model, EwmaWalk.name), (EwmaWalk.name, RandomWalk.name))
    return tuple(diebold_mariano(losses, *pair, overlap) for pair in pairs)


def diebold_mariano(losses: pd.DataFrame, candidate: str, opponent: str, overlap: int) -> DieboldMariano:
    """Test one candidate against another.

    The difference on a date is the mean over series of the two losses' difference, as a share of the series'
    mean random-walk loss.
    """
    difference = loss_difference(losses, candidate, opponent)
    by_date = difference.groupby("as_of").mean().to_numpy()
    dates, lag = len(by_date), choose_lag(len(by_date), overlap)
    if not dates or not np.isfinite(difference).all():
        return DieboldMariano(candidate, opponent, None, dates, lag)
    mean = float(by_date.mean())
    if dates < max(MIN_DATES, MIN_INDEPENDENT * overlap) or np.ptp(by_date) == 0:
        return DieboldMariano(candidate, opponent, mean, dates, lag)
    error = standard_error(by_date, lag)
    statistic = mean / error
    p_value = student_p_value(statistic, dates - 1)
    return DieboldMariano(candidate, opponent, mean, dates, lag, error, statistic, p_value)


def choose_lag(dates: int, overlap: int) -> int:
    """Return the longest lag whose autocovariance enters the variance.

    Losses on dates whose targets share bars are correlated up to a lag of overlap - 1. Bartlett's weights
    would halve these correlations, so three times that lag is used, and at least 4 (T / 100)^(2/9), the rule
    of Newey and West (1994). In simulations with moving averages of noise, 12 to 230 dates that overlap 3 or
    7 times, a test at 5% rejects a true hypothesis in 7 to 9% of the cases; with a lag of overlap - 1, in 10
    to 14%.
    """
    return min(max(3 * (overlap - 1), math.floor(4 * (dates / 100) ** (2 / 9))), max(dates - 1, 0))


def standard_error(values: np.ndarray, lag: int) -> float:
    """Return the standard error of the mean of `values` (T,), which are correlated up to `lag` < T.

    This is Newey and West's variance, corrected by the factor of Harvey, Leybourne and Newbold for h - 1 =
    `lag`.
    """
    count = len(values)
    deviation = values - values.mean()
    covariance = np.array([deviation[k:] @ deviation[: count - k] for k in range(lag + 1)]) / count
    weights = np.where(np.arange(lag + 1) == 0, 1.0, 2 * (1 - np.arange(lag + 1) / (lag + 1)))
    known = count - (lag + 1)
    correction = known * (known + 1) / count**2  # (T + 1 - 2h + h(h - 1) / T) / T
    return float(np.sqrt(weights @ covariance / count / correction))


def student_p_value(statistic: float, freedom: int) -> float:
    """Return the two-sided p-value of a t statistic with `freedom` degrees of freedom.

    Uses the finite sums 26.7.3 and 26.7.4 of Abramowitz and Stegun, "Handbook of Mathematical Functions"
    (1964).
    """
    angle = math.atan(abs(statistic) / math.sqrt(freedom))
    odd = freedom % 2 == 1
    steps = np.arange(2 if odd else 1, freedom - 2, 2)
    terms = np.cumprod(np.concatenate([[1.0], steps / (steps + 1) * math.cos(angle) ** 2]))
    inside = math.sin(angle) * float(terms.sum())
    if odd:
        inside = 2 / math.pi * (angle + (math.cos(angle) * inside if freedom > 1 else 0.0))
    return max(1 - inside, 0.0)
