"""Realised scores: the skill and coverage of published forecasts over time, with standard errors.

Of several forecasts for one `as_of` and origin, the newest committed one counts; a final forecast counts
before a provisional one. Forecasts that start a few bars apart cover almost the same bars, so their errors
are correlated: only windows that do not overlap count as independent evidence.
"""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from forecasting.calendar import BarCalendar
from forecasting.errors import NightcastError
from forecasting.evaluation import metrics
from forecasting.evaluation.diebold_mariano import MIN_INDEPENDENT, student_p_value
from forecasting.panel import Panel
from forecasting.prices.delta import instant_scalar
from forecasting.scoring.score_table import ScoreTable, no_sums
from forecasting.storage import Storage

SPANS = (90, 365, None)  # days of `as_of`s; None for all

_log = logging.getLogger(__name__)

# Columns that decide which of several forecasts for one `as_of` and origin counts.
_WHICH = ["provisional", "known_at", "published_at"]
_KEYS = ["origin", "as_of", "forecast_id", *_WHICH, "unique_id", "model"]
# Columns summed over the steps of one forecast of one series, and those of which the maximum is taken. The
# in-sample change is the same at every step.
_SUMS = ("rows", "loss", "random_walk_loss", "ewma_walk_loss", "error", "sign", "inside_80", "inside_90")
_MAXIMA = ("in_sample_change", "h")
_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Estimate:
    """An estimate with its standard error.

    Attributes:
        value: the estimate; None where it cannot be computed.
        error: the standard error, from the independent windows; None where there are too few of them.
        freedom: degrees of freedom of the standard error.
    """

    value: float | None
    error: float | None = None
    freedom: int = 0

    def is_below(self, limit: float, chance: float) -> bool:
        """Whether the estimate is significantly below `limit`: one-sided t-test at the level `chance`."""
        if self.value is None or self.error is None or self.value >= limit:
            return False
        if not self.error:
            return True
        return student_p_value((limit - self.value) / self.error, self.freedom) / 2 < chance

    def is_above(self, limit: float, chance: float) -> bool:
        """Whether the estimate is significantly above `limit`: one-sided t-test at the level `chance`."""
        negated = None if self.value is None else -self.value
        return Estimate(negated, self.error, self.freedom).is_below(-limit, chance)


@dataclass(frozen=True)
class Realised:
    """The realised scores of one origin's forecasts over one span.

    Attributes:
        origin: `live` or `backfill`.
        days: length of the span in days of `as_of`s, up to the newest one; None for all.
        forecasts: number of forecasts that count.
        series: number of series in them.
        steps: number of prices scored.
        first: the oldest `as_of`.
        last: the newest `as_of`.
        independent: number of the forecasts' windows that do not overlap.
        skill: skill against the random walk.
        skill_to_ewma_walk: skill against the EWMA walk.
        coverage_80: share of prices inside the 80% interval.
        coverage_90: share of prices inside the 90% interval.
        above: share of prices above the median; a price equal to the median counts half.
        bias: mean of price minus median, in in-sample changes; positive when the median was too low.
    """

    origin: str
    days: int | None
    forecasts: int
    series: int
    steps: int
    first: np.datetime64
    last: np.datetime64
    independent: int
    skill: Estimate
    skill_to_ewma_walk: Estimate
    coverage_80: Estimate
    coverage_90: Estimate
    above: Estimate
    bias: Estimate


def read_tally(
    storage: Storage,
    panel: str,
    until: np.datetime64 | None = None,
    since: np.datetime64 | None = None,
) -> pd.DataFrame:
    """Return sums of the scores over the steps: one row for each forecast of a series.

    Of several forecasts for one `as_of` and origin, only the one that counts is included.

    Args:
        storage: the store with the scores.
        panel: the panel's name.
        until: ignore scores of later bars; None for no limit.
        since: ignore forecasts for an earlier `as_of`; None for no limit.

    Returns:
        A frame with these columns: `origin`, `as_of` (datetime64), `forecast_id`, `unique_id`, `model`;
        `rows`, the number of steps; the sums of `loss`, `random_walk_loss`, `ewma_walk_loss` and `error`, in
        in-sample changes (NaN where a series never moved); the sums of `sign` (of price minus median),
        `inside_80` and `inside_90`; `h`, the last step.

    Raises:
        StoreError: a newer version of this package wrote the scores, or one of their files is missing.
    """
    table, how = ScoreTable.find(storage, panel), dict.fromkeys(_SUMS, "sum") | dict.fromkeys(_MAXIMA, "max")
    sums = no_sums(_KEYS, how) if table is None else table.sums(_KEYS, how, _condition(until, since))
    frame: pd.DataFrame = sums.to_pandas()
    for name in ("as_of", "known_at", "published_at"):
        frame[name] = frame[name].dt.tz_localize(None)
    change = frame.pop("in_sample_change").astype(float)
    change = change.where(change > 0)
    for name in ("loss", "random_walk_loss", "ewma_walk_loss", "error"):
        frame[name] /= change
    return _counting(frame)


def try_tally(
    storage: Storage,
    panel: str,
    until: np.datetime64 | None = None,
    since: np.datetime64 | None = None,
) -> pd.DataFrame | None:
    """Return `read_tally`, or None with a warning if the scores are damaged: no forecast needs them."""
    try:
        return read_tally(storage, panel, until, since)
    except (NightcastError, DeltaError, pa.ArrowInvalid) as error:
        _log.warning("scores: ignored, because they cannot be read: %s", error)
        return None


def _condition(until: np.datetime64 | None, since: np.datetime64 | None) -> pc.Expression | None:
    parts = []
    if until is not None:
        parts.append(pc.field("ds") <= instant_scalar(until))
    if since is not None:  # a forecast's bars are later than its `as_of`; the bound on `ds` prunes files
        parts += [pc.field("as_of") >= instant_scalar(since), pc.field("ds") >= instant_scalar(since)]
    if not parts:
        return None
    condition = parts[0]
    for part in parts[1:]:
        condition &= part
    return condition


def _counting(frame: pd.DataFrame) -> pd.DataFrame:
    forecasts = frame[["origin", "as_of", "forecast_id", *_WHICH]].drop_duplicates()
    forecasts = forecasts.sort_values(_WHICH, ascending=[False, True, True])  # final forecasts last
    newest = forecasts.groupby(["origin", "as_of"])["forecast_id"].last()
    counting = newest.reset_index().drop(columns="as_of")
    kept = frame.merge(counting, on=["origin", "forecast_id"])
    return kept.drop(columns=_WHICH)


def realised(panel: Panel, tally: pd.DataFrame) -> list[Realised]:
    """Return the realised scores of live, then of backfilled forecasts, each over `SPANS` of days."""
    found = []
    for origin in ("live", "backfill"):
        own = tally[tally["origin"] == origin]
        if len(own):
            newest = own["as_of"].max()
            spans = [
                (days, own[own["as_of"] > newest - (days or 0) * _DAY] if days else own) for days in SPANS
            ]
            found += [summarise_span(panel, origin, days, some) for days, some in spans]
    return found


def summarise_span(panel: Panel, origin: str, days: int | None, tally: pd.DataFrame) -> Realised:
    """Return the realised scores of at least one forecast; `tally` is a part of `read_tally`."""
    dates, date = np.unique(tally["as_of"].to_numpy(), return_inverse=True)
    independent = independent_windows(panel.calendar, dates, panel.forecast.horizon)
    sums = _Sums(tally, date, len(dates), independent)
    rows = tally["rows"].to_numpy(dtype=np.float64)
    return Realised(
        origin=origin,
        days=days,
        forecasts=len(dates),
        series=tally["unique_id"].nunique(),
        steps=int(rows.sum()),
        first=dates[0],
        last=dates[-1],
        independent=independent,
        skill=sums.skill("random_walk_loss"),
        skill_to_ewma_walk=sums.skill("ewma_walk_loss"),
        coverage_80=sums.mean(tally["inside_80"].to_numpy(dtype=np.float64)),
        coverage_90=sums.mean(tally["inside_90"].to_numpy(dtype=np.float64)),
        above=sums.mean((rows + tally["sign"].to_numpy()) / 2),
        bias=sums.mean(tally["error"].to_numpy()),
    )


def independent_windows(calendar: BarCalendar, dates: np.ndarray, horizon: int) -> int:
    """Return the largest number of windows of `horizon` bars after sorted `dates` that do not overlap."""
    count, free = 0, np.iinfo(np.int64).min
    for position in calendar.position(dates.astype("datetime64[us]")):
        if position >= free:
            count, free = count + 1, int(position) + horizon
    return count


@dataclass(frozen=True)
class _Sums:
    """Means over the forecasts' steps, with standard errors.

    The squared standard error of a mean is the variance over dates of each date's contribution, divided by
    the number of independent windows minus one. The gate computes its standard errors the same way.
    """

    tally: pd.DataFrame
    date: np.ndarray
    dates: int
    independent: int

    def mean(self, sums: np.ndarray) -> Estimate:
        """The mean over all steps; `sums` (N,) holds each row's sum over its steps."""
        known = np.isfinite(sums)
        rows = np.where(known, self.tally["rows"].to_numpy(), 0)
        if not rows.sum():
            return Estimate(None)
        sums = np.where(known, sums, 0.0)
        mean = float(sums.sum() / rows.sum())
        return self._estimate(mean, self._by_date(sums - mean * rows) / rows.sum(), 1.0)

    def skill(self, reference: str) -> Estimate:
        """1 - the geometric mean over series of the ratio of the forecasts' loss to the reference's."""
        series, count = _codes(self.tally["unique_id"])
        loss, other = self.tally["loss"].to_numpy(), self.tally[reference].to_numpy()
        known = np.isfinite(loss)
        loss, other = np.where(known, loss, 0.0), np.where(known, other, 0.0)
        total, base = (np.bincount(series, sums, count) for sums in (loss, other))
        able = (total > 0) & (base > 0)
        value = metrics.skill(total, base)
        if not np.isfinite(value):
            return Estimate(None)
        if not able.any():
            return Estimate(value)
        ours, theirs = (np.divide(1.0, sums, out=np.zeros(count), where=able) for sums in (total, base))
        adds = self._by_date(loss * ours[series] - other * theirs[series]) / able.sum()
        return self._estimate(value, adds, 1 - value)

    def _by_date(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.date, values, self.dates)

    def _estimate(self, value: float, adds: np.ndarray, factor: float) -> Estimate:
        """The estimate with its standard error; `adds` (D,) holds each date's contribution to the error."""
        if self.independent < MIN_INDEPENDENT:
            return Estimate(value)
        freedom = self.independent - 1
        variance = float(np.var(adds * self.dates)) / freedom
        return Estimate(value, factor * variance**0.5, freedom)


def by_series(tally: pd.DataFrame) -> pd.DataFrame:
    """Return the realised scores of each series.

    Returns:
        A frame by `unique_id` with `skill`, `skill_to_ewma_walk`, `coverage_80`, `coverage_90`, `above`,
        `bias` and `forecasts`. Skill is NaN where the reference's loss is zero.
    """
    groups = tally.groupby("unique_id")
    sums = groups[list(_SUMS)].sum()
    rows = sums["rows"]

    def skill(reference: str) -> pd.Series:
        return 1 - sums["loss"] / sums[reference].where(sums[reference] > 0)

    return pd.DataFrame(
        {
            "skill": skill("random_walk_loss"),
            "skill_to_ewma_walk": skill("ewma_walk_loss"),
            "coverage_80": sums["inside_80"] / rows,
            "coverage_90": sums["inside_90"] / rows,
            "above": (rows + sums["sign"]) / 2 / rows,
            "bias": sums["error"] / rows,
            "forecasts": groups["as_of"].nunique(),
        }
    )


def over_time(tally: pd.DataFrame, days: int, horizon: int) -> pd.DataFrame:
    """Return the scores of each `as_of`, and of all forecasts of the `days` up to it.

    Args:
        tally: rows of `read_tally`, of one origin.
        days: length of the trailing span.
        horizon: number of bars in a forecast.

    Returns:
        A frame by `as_of` with `skill`, `coverage_80` and `coverage_90` of its forecast; the same with
        `_so_far` for the trailing span; `whole`, whether all `horizon` bars have arrived for some series.
    """
    dates, date = np.unique(tally["as_of"].to_numpy(), return_inverse=True)
    series, count = _codes(tally["unique_id"])
    begin = np.searchsorted(dates, dates - days * _DAY, side="right")

    def totals(name: str) -> np.ndarray:
        """(T, S) sums by date and series."""
        values = np.nan_to_num(tally[name].to_numpy(dtype=np.float64))
        return np.bincount(date * count + series, values, len(dates) * count).reshape(len(dates), count)

    def over_span(by_date: np.ndarray) -> np.ndarray:
        sums = np.concatenate([np.zeros((1, *by_date.shape[1:])), by_date.cumsum(axis=0)])
        spans: np.ndarray = sums[1:] - sums[begin]
        return spans

    loss, walk = totals("loss"), totals("random_walk_loss")
    rows = totals("rows").sum(axis=1)
    columns = {"skill": _skills(loss, walk), "skill_so_far": _skills(over_span(loss), over_span(walk))}
    for name in ("coverage_80", "coverage_90"):
        inside = totals(name.replace("coverage", "inside")).sum(axis=1)
        columns |= {name: inside / rows, f"{name}_so_far": over_span(inside) / over_span(rows)}
    last = np.zeros(len(dates), dtype=np.int64)
    np.maximum.at(last, date, tally["h"].to_numpy(dtype=np.int64))
    return pd.DataFrame(columns | {"whole": last >= horizon}, index=pd.Index(dates, name="as_of"))


def _skills(loss: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(T,) skill by row of losses (T, S), over the series with a positive reference loss; NaN without any."""
    # Differences of cumulated sums leave rounding errors where the loss is zero.
    known = reference > 1e-9 * np.maximum(reference.max(axis=1, keepdims=True), np.finfo(float).tiny)
    ratio = np.divide(loss, reference, out=np.ones_like(loss), where=known)
    logs = np.where(known, np.log(np.maximum(ratio, np.finfo(float).tiny)), 0.0)
    counts = known.sum(axis=1)
    means = np.divide(logs.sum(axis=1), counts, out=np.full(len(counts), np.nan), where=counts > 0)
    skills: np.ndarray = 1 - np.exp(means)
    return skills


def _codes(ids: pd.Series) -> tuple[np.ndarray, int]:
    codes, names = pd.factorize(ids)
    return codes, len(names)
