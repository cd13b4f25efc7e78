"""The audit of spacing: whether the bars lie as far apart as `freq` and `calendar` say."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from forecasting.calendar import BarCalendar, bar_calendar, period_starts
from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.audit import rules
from forecasting.prices.order import instants, series_ranks

_DAY = np.timedelta64(1, "D")
_MINUTE = np.timedelta64(1, "m")
# Too few bars say nothing about how far apart they lie.
_LEAST = 20
# More bars than these say nothing new.
_MOST = 200_000
_WEEKDAYS = 5
# A week or month may lack its bar; of the others this share must have just one.
_NEARLY_ALL = 0.9
# Of the days this share may be no sessions of a calendar that a finding names.
_MOST_OFF = 0.005
_LONGEST_MONTH = np.timedelta64(36, "D")
WIDEST = "a month"


@dataclass(frozen=True)
class Spacing:
    """How far apart bars lie.

    Attributes:
        step: the most common distance.
        freq: the frequency that has it; empty where none has.
        weekdays: whether no bar lies on a Saturday or Sunday, though five weekdays have some.
    """

    step: np.timedelta64
    freq: str
    weekdays: bool

    @property
    def too_wide(self) -> bool:
        """Whether bars lie further apart than the widest frequency has them."""
        return bool(self.step > _LONGEST_MONTH)

    @property
    def apart(self) -> str:
        """The step in words."""
        days = self.step / _DAY
        return f"{days:g} days" if days >= 1 else f"{self.step / _MINUTE:g} minutes"


def find_spacing(series: np.ndarray, ds: np.ndarray, least: int = _LEAST) -> Spacing | None:
    """The spacing of bars sorted by series and time; None where there are too few.

    Args:
        series: (N,) number of each bar's series.
        ds: (N,) datetime64[us].
        least: how many distances are enough.
    """
    series, ds = series[:_MOST], ds[:_MOST]
    steps = np.diff(ds)[np.diff(series) == 0]
    if len(steps) < least:
        return None
    found, counts = np.unique(steps, return_counts=True)
    step = found[counts.argmax()]
    on_weekdays = np.bincount(_weekday(ds), minlength=7)
    weekdays = bool(on_weekdays[_WEEKDAYS:].sum() == 0 and (on_weekdays[:_WEEKDAYS] > 0).all())
    return Spacing(step, _frequency(step, steps, ds, series), weekdays)


def _weekday(ds: np.ndarray) -> np.ndarray:
    """(N,) day of the week of each time, Monday 0."""
    days = ds.astype("datetime64[D]")
    weekday: np.ndarray = (days - period_starts(days, "1W")).astype(np.int64)
    return weekday


def _frequency(step: np.timedelta64, steps: np.ndarray, ds: np.ndarray, series: np.ndarray) -> str:
    minutes = int(step // _MINUTE)
    if step < _DAY:
        if minutes < 1 or (24 * 60) % minutes:
            return ""
        return f"{minutes // 60}h" if minutes % 60 == 0 else f"{minutes}min"
    if step == _DAY:
        return "1D"
    for freq in ("1W", "1M"):
        months = freq == "1M"
        typical = (steps >= (26 if months else 4) * _DAY) & (
            steps <= (_LONGEST_MONTH if months else 10 * _DAY)
        )
        periods = period_starts(ds.astype("datetime64[D]"), freq)
        twice = (np.diff(periods) == np.timedelta64(0, "D")) & (np.diff(series) == 0)
        if typical.mean() >= _NEARLY_ALL and twice.mean() <= 1 - _NEARLY_ALL:
            return freq
    return ""


def spacing_findings(
    good: pa.Table, offered: pa.Table, panel: Panel, calendar: BarCalendar
) -> Iterator[Finding]:
    """A warning if the bars are wider apart than `freq`, or never on days that the calendar has.

    Args:
        good: accepted rows, sorted by `unique_id`, `ds`.
        offered: all offered rows; where most of them were refused, they tell more than the good ones.
        panel: its `freq` and `calendar`.
        calendar: the panel's calendar.
    """
    if good.num_rows * 2 < offered.num_rows:
        return
    ds, series = instants(good["ds"]), series_ranks(good["unique_id"])
    spacing = find_spacing(series, ds)
    if spacing is None:
        return
    bars = panel.bars
    if spacing.step > 1.5 * bars.step and (spacing.freq != bars.freq) and (spacing.freq or spacing.too_wide):
        fix = (
            f'set [bars].freq = "{spacing.freq}" and give the panel another name'
            if spacing.freq
            else f"that is wider than any [bars].freq: offer prices {WIDEST} or less apart"
        )
        detail = f"most bars are {spacing.apart} apart, where bars of {bars.freq} are expected; {fix}"
        yield Finding.of(rules.SPACING, "", good.num_rows, detail)
    elif spacing.weekdays and _has_weekends(calendar, ds):
        fits = weekday_calendars(ds, _USUAL)
        named = f'"{fits[0]}"' if fits else 'an exchange\'s code such as "XNYS"'
        detail = (
            f"no bar lies on a Saturday or Sunday, where calendar {bars.calendar} has bars, and the forecast "
            f"has them too; set [bars].calendar = {named}"
        )
        yield Finding.of(rules.SPACING, "", good.num_rows, detail)


def _has_weekends(calendar: BarCalendar, ds: np.ndarray) -> bool:
    days = np.arange(ds.min().astype("datetime64[D]"), ds.max().astype("datetime64[D]") + 1)
    weekend = days[_weekday(days) >= _WEEKDAYS]
    return bool(len(weekend)) and bool(calendar.contains(weekend).mean() > _NEARLY_ALL)


def weekday_calendars(ds: np.ndarray, names: tuple[str, ...]) -> list[str]:
    """The calendars that have nearly all of these days and few others, the best first.

    Args:
        ds: times of bars.
        names: which calendars to try.
    """
    days = np.unique(ds.astype("datetime64[D]"))
    misfits = {name: calendar_misfit(name, days, _MOST_OFF) for name in names}
    fitting = {name: misfit for name, misfit in misfits.items() if misfit is not None}
    return sorted(fitting, key=fitting.__getitem__)


def calendar_misfit(name: str, days: np.ndarray, most_off: float) -> int | None:
    """How badly a calendar fits days: twice the days that it lacks, and the sessions that no day has.

    None where it does not cover the days, or lacks too many of them.

    Args:
        name: of the calendar.
        days: (N,) datetime64[D], sorted and distinct.
        most_off: the share of the days that the calendar may lack.
    """
    calendar = bar_calendar(name, "1D")
    if days[0] < calendar.begin or days[-1] > calendar.end:
        return None
    sessions = calendar.bars(days[0], days[-1]).astype("datetime64[D]")
    both = len(np.intersect1d(days, sessions))
    off = len(days) - both
    return None if off > most_off * len(days) else 2 * off + len(sessions) - both


# Those that a finding names: to build all of them takes seconds.
_USUAL = ("XNYS", "FX", "ECB", "XLON", "XETR", "XTKS", "XHKG")
# Tried in this order; of equal ones the first is named.
CANDIDATES = (
    "XNYS",
    "24/7",
    "FX",
    "ECB",
    "XLON",
    "XETR",
    "XPAR",
    "XTKS",
    "XHKG",
    "XSHG",
    "XKRX",
    "XTSE",
    "XASX",
    "XBOM",
    "XSWX",
    "XAMS",
    "XMIL",
    "XMAD",
    "XSTO",
    "XCSE",
    "XHEL",
    "XOSL",
    "BVMF",
    "XMEX",
    "XJSE",
    "XSES",
    "XNZE",
    "CMES",
)
