"""Trading calendars: which bars exist, and when each bar is closed and may be used.

`docs/calendars.md` describes each kind of calendar. All times are numpy datetime64[us] in UTC.
"""

import difflib
import re
import warnings
from dataclasses import dataclass
from datetime import date
from functools import cache

import exchange_calendars
import holidays
import numpy as np
import pandas as pd
from holidays.registry import EntityLoader
from numpy.typing import ArrayLike

from forecasting.errors import PanelError

ALWAYS_OPEN = "24/7"
FX_WEEK = "FX"

# The years that every calendar covers, unless its library knows fewer. The libraries' own defaults move with
# today's date; fixed years give the same result on any day. The holiday rules of pandas, which
# exchange_calendars builds on, begin in 1970.
FIRST_YEAR = 1970
LAST_YEAR = 2049

# The FX market has no exchange and no rule book. By convention of dealers and data vendors it opens on Sunday
# and closes on Friday at 17:00 New York time, which is also when the trading date changes.
FX_ZONE = "America/New_York"
FX_TURN = np.timedelta64(17, "h")

# The reference rates appear "around 16:00 CET on every working day, except on TARGET closing days", see
# https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates/html/index.en.html
ECB_NAMES = frozenset({"ECB", "XECB", "TAR"})
ECB_ZONE = "Europe/Berlin"
ECB_PUBLICATION = np.timedelta64(16, "h")

# In exchange_calendars 4.13, CMES trades around the clock. Equity index, metals and energy futures pause for
# an hour at 16:00 Chicago time since "Monday, September 21" of 2015, and paused at 16:15 before, see
# https://ninjatrader.com/Advisories/Advisory25
CME_CODE = "CMES"
CME_ZONE = "America/Chicago"
CME_HALT = np.timedelta64(16, "h")
CME_HALT_SINCE = np.datetime64("2015-09-21")

# Sessions that exchange_calendars 4.13 lacks. On these days CME closed only some products, or closed early,
# and the calendar drops the whole date: days of mourning in 2018 and 2025, Good Fridays with a jobs report.
_EXTRA_SESSIONS = {"CMES": ("2018-12-05", "2023-04-07", "2025-01-09", "2026-04-03")}
# Sessions that exchange_calendars 4.13 has though the exchange was closed: typhoon Saola and the black
# rainstorm of September 2023 in Hong Kong, and the Korean local elections of 2026.
_CLOSED = {"XHKG": ("2023-09-01", "2023-09-08"), "XKRX": ("2026-06-03",)}

_DAY = np.timedelta64(1, "D")
_TICK = np.timedelta64(1, "us")
# Longer than any week or month: such a span holds one bar.
_STEPS = {"1D": _DAY, "1W": np.timedelta64(7, "D"), "1M": np.timedelta64(31, "D")}
_INTRADAY = re.compile(r"([1-9]\d*)(min|h)")
_DAY_MINUTES = 24 * 60
_DATES = np.arange(f"{FIRST_YEAR}-01-01", f"{LAST_YEAR + 1}-01-01", dtype="datetime64[D]")


def check_frequency(freq: str) -> str:
    """Check that bars of this frequency exist: 1M, 1W, 1D, or minutes or hours that divide a day.

    Raises:
        ValueError: there are none; the text says what to write instead.
    """
    if freq not in _STEPS:
        match = _INTRADAY.fullmatch(freq)
        minutes = int(match[1]) * (60 if match[2] == "h" else 1) if match else 0
        if not minutes or minutes >= _DAY_MINUTES or _DAY_MINUTES % minutes:
            raise ValueError(
                f'no frequency {freq!r}; use "1M", "1W", "1D", or hours or minutes that divide a day, '
                'such as "4h", "1h", "30min", "15min", "5min" or "1min"'
            )
    return freq


def is_intraday(freq: str) -> bool:
    """Whether bars of this frequency are shorter than a day."""
    return freq not in _STEPS


def bar_step(freq: str) -> np.timedelta64:
    """The length of a bar; for 1M the longest month."""
    if freq in _STEPS:
        return _STEPS[freq].astype("timedelta64[us]")
    return pd.Timedelta(freq).to_numpy().astype("timedelta64[us]")


@cache
def calendar_names() -> frozenset[str]:
    """Return every name that a panel's `calendar` may have."""
    exchanges = exchange_calendars.get_calendar_names(include_aliases=True)
    # `holidays.list_supported_financial` gives the same names, but imports all of their modules.
    return frozenset(exchanges) | frozenset(EntityLoader.get_financial_codes()) | {ALWAYS_OPEN, FX_WEEK}


def check_calendar(name: str) -> None:
    """Check that a calendar exists, without building it.

    Raises:
        ValueError: there is no such calendar; the message suggests other names.
    """
    if name in calendar_names():
        return
    near = difflib.get_close_matches(name.upper(), sorted(calendar_names()))
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    raise ValueError(f'no calendar {name!r}; {hint}use an exchange code such as XNYS, "24/7", "FX" or "ECB"')


@cache
def calendar_zone(name: str) -> str:
    """The time zone in which a calendar's dates begin; empty where it names none, as `24/7` does."""
    if name == ALWAYS_OPEN:
        return ""
    if name == FX_WEEK:
        return FX_ZONE
    if name in exchange_calendars.get_calendar_names(include_aliases=True):
        return str(_exchange_calendar(name).tz)
    return ECB_ZONE if name in ECB_NAMES else ""


class BarCalendar:
    """All bars of one calendar at one frequency; create it with `bar_calendar`.

    The calendar is stored as *spans*: increasing, disjoint intervals of time. Bars start at the beginning of
    a span and follow each other every `step`; the last bar ends with its span, and may be shorter. An
    intraday span is a session, or the part of a session before or after a lunch break. A daily span is a
    trading date. A weekly or monthly span runs from the first session of its week or month to the close of
    the last one. Each bar has an ordinal, counted over all spans, so that no list of all bars is needed.

    Attributes:
        name: the calendar's name.
        begin: datetime64[D]; the first day (UTC) that the calendar covers.
        end: datetime64[D]; the last day (UTC) that the calendar covers.
    """

    def __init__(self, name: str, step: np.timedelta64, opens: np.ndarray, closes: np.ndarray) -> None:
        self.name = name
        self.begin = np.datetime64(opens[0], "D")
        self.end = np.datetime64(closes[-1] - _TICK, "D")
        self._step = step
        self._opens = opens
        self._closes = closes
        self._counts = _ceil_divide(closes - opens, step)
        self._firsts = np.concatenate([[0], np.cumsum(self._counts)])

    def bars(self, start: np.datetime64, end: np.datetime64) -> np.ndarray:
        """Return the bars with `start <= ds <= end`, increasing.

        Raises:
            PanelError: the calendar does not cover `start` or `end`.
        """
        self._check_known(start)
        self._check_known(end)
        first = int(self.position(start))
        stop = int(self.position(_after(end)))
        return self._at(np.arange(first, stop))

    def future(self, cutoff: np.datetime64, count: int) -> np.ndarray:
        """(count,) the next bars, strictly after `cutoff`.

        Raises:
            PanelError: the calendar does not cover all of these bars.
        """
        self._check_known(cutoff)
        first = int(self.position(_after(cutoff)))
        if first + count > self._firsts[-1]:
            raise self._unknown(f"the {count} bars after {cutoff}")
        return self._at(np.arange(first, first + count))

    def known_after(self, instant: np.datetime64) -> int:
        """Return the number of bars that the calendar knows strictly after `instant`."""
        return max(int(self._firsts[-1] - self.position(_after(instant))), 0)

    def after(self, ds: np.ndarray, count: int) -> np.ndarray:
        """(D, count) the next bars strictly after each of `ds` (D,); the last known bar beyond the end."""
        first = self.position(ds + _TICK)[:, None] + np.arange(count)
        bars: np.ndarray = self._at(np.minimum(first, self._firsts[-1] - 1).ravel()).reshape(first.shape)
        return bars

    @property
    def is_intraday(self) -> bool:
        """Whether bars are shorter than a day."""
        return bool(self._step < _DAY)

    def opened(self, ds: ArrayLike) -> np.ndarray:
        """Return when the session of each bar opened; on daily calendars, the bar itself."""
        opened: np.ndarray = self._opens[self._span(_instant(ds))]
        return opened

    def back(self, ds: np.datetime64, count: int) -> np.datetime64:
        """Return the bar that is `count` bars before `ds`, or the first bar of the calendar."""
        return np.datetime64(self._at(max(int(self.position(ds)) - count, 0)).item(), "us")

    def contains(self, ds: ArrayLike) -> np.ndarray:
        """Return whether each of `ds` is the start of a bar; False before `begin` and after `end`."""
        ds = _instant(ds)
        # Look up each distinct time once: the series of a panel share most of their times.
        codes, times = pd.factorize(ds.ravel())
        starts = np.append(self._starts(np.asarray(times)), np.False_)  # code -1, the last entry, is NaT
        found: np.ndarray = starts[codes].reshape(ds.shape)
        return found

    def _starts(self, ds: np.ndarray) -> np.ndarray:
        span = self._span(ds)
        into = ds - self._opens[span]
        starts: np.ndarray = (into >= 0) & (into % self._step == 0) & (ds < self._closes[span])
        return starts

    def closes(self, ds: ArrayLike) -> np.ndarray:
        """Return the instant at which each bar is closed and may be used.

        A timestamp that is not on the calendar counts as a bar of full length: it closes at the next midnight
        on a daily calendar, and one `step` later on an intraday calendar.
        """
        ds = _instant(ds)
        start = ds.astype("datetime64[D]") if self._step >= _DAY else ds
        whole = start + self._step
        return np.where(self.contains(ds), np.minimum(whole, self._closes[self._span(ds)]), whole)

    def newest_closed(self, instant: np.datetime64) -> np.datetime64:
        """Return the newest bar that is closed at `instant`.

        Raises:
            PanelError: the calendar does not cover `instant`, or no bar is closed by then.
        """
        self._check_known(instant)
        newest = int(self.position(_after(instant))) - 1
        if newest >= 0 and self.closes(self._at(newest)) > instant:
            newest -= 1
        if newest < 0:
            raise self._unknown(f"the bars before {instant}")
        return np.datetime64(self._at(newest).item(), "us")

    def bar_of_period(self, ds: np.ndarray, freq: str) -> np.ndarray:
        """(N,) the bar of the week (1W) or month (1M) of each date; the date itself where there is none."""
        starts = period_starts(self._opens, freq)
        place = np.minimum(np.searchsorted(starts, period_starts(ds, freq)), len(starts) - 1)
        known = ~np.isnat(ds) & (starts[place] == period_starts(ds, freq))
        return np.where(known, self._opens[place], ds)

    def position(self, ds: ArrayLike) -> np.ndarray:
        """Return the ordinal (int64) of each bar, counted from the calendar's first bar.

        A timestamp that is not on the calendar gets the ordinal of the next bar, even beyond `end`.
        """
        ds = _instant(ds)
        span = self._span(ds)
        into = np.clip(_ceil_divide(ds - self._opens[span], self._step), 0, self._counts[span])
        ordinals: np.ndarray = self._firsts[span] + into
        return ordinals

    def _span(self, ds: np.ndarray) -> np.ndarray:
        """Return the last span that begins at or before each of `ds`, or the first span."""
        return np.maximum(np.searchsorted(self._opens, ds, side="right") - 1, 0)

    def _at(self, ordinals: np.ndarray | int) -> np.ndarray:
        span = np.searchsorted(self._firsts, ordinals, side="right") - 1
        starts: np.ndarray = self._opens[span] + (ordinals - self._firsts[span]) * self._step
        return starts

    def _check_known(self, instant: np.datetime64) -> None:
        if not self.begin <= instant.astype("datetime64[D]") <= self.end:
            raise self._unknown(str(instant))

    def _unknown(self, what: str) -> PanelError:
        return PanelError(
            f"calendar {self.name!r} covers {self.begin} to {self.end}, not {what}; "
            "upgrade exchange_calendars, or choose another calendar from docs/calendars.md"
        )


@cache
def bar_calendar(
    name: str, freq: str, extra_sessions: tuple[date, ...] = (), extra_holidays: tuple[date, ...] = ()
) -> BarCalendar:
    """Return the bars of calendar `name` at `freq`: see `check_frequency`.

    Args:
        name: one of `calendar_names`.
        freq: how far apart the bars are.
        extra_sessions: dates to add, with the hours of the session before.
        extra_holidays: dates to remove.

    Raises:
        ValueError: there is no calendar or frequency of that name.
        PanelError: the calendar cannot be built, or has no bars of that frequency.

    Example:
        >>> nyse = bar_calendar("XNYS", "1D")
        >>> nyse.future(np.datetime64("2026-11-25", "us"), 2).astype("datetime64[D]").tolist()
        [datetime.date(2026, 11, 27), datetime.date(2026, 11, 30)]
        >>> nyse.closes(np.datetime64("2026-11-27", "us")).item()  # a half day in New York
        datetime.datetime(2026, 11, 27, 18, 0)
    """
    check_calendar(name)
    step = bar_step(check_frequency(freq))
    sessions = _with_changes(_sessions(name), extra_sessions, extra_holidays)
    if step == _DAY:
        opens = _instant(sessions.dates)
        # A half day in Wellington ends at 12:45, which is 23:45 UTC of the day before. No bar may close
        # before its `ds`.
        return BarCalendar(name, step, opens, np.clip(sessions.closes, opens + _TICK, opens + _DAY))
    if step > _DAY:
        opens, closes = _periods(sessions, freq)
        return BarCalendar(name, step, opens, closes)
    if not len(sessions.part_opens):
        raise PanelError(
            f"calendar {name!r} has dates but no hours, so no bars of {freq}; "
            'set freq = "1D", or an exchange\'s calendar such as XNYS'
        )
    return BarCalendar(name, step, sessions.part_opens, sessions.part_closes)


def period_starts(dates: np.ndarray, freq: str) -> np.ndarray:
    """(N,) datetime64[D]; the Monday of the week (1W) or the first day of the month (1M) of each date."""
    if freq == "1M":
        return dates.astype("datetime64[M]").astype("datetime64[D]")
    # 1970-01-01 was a Thursday.
    days = dates.astype("datetime64[D]").astype(np.int64)
    starts: np.ndarray = (days - (days + 3) % 7).astype("datetime64[D]")
    return starts


def _periods(sessions: "_Sessions", freq: str) -> tuple[np.ndarray, np.ndarray]:
    """Start and end of each week or month: midnight UTC of its first session, the close of its last."""
    period = period_starts(sessions.dates, freq)
    first = np.flatnonzero(period != np.roll(period, 1))
    last = np.append(first[1:], len(period)) - 1
    opens = _instant(sessions.dates[first])
    last_open = _instant(sessions.dates[last])
    return opens, np.clip(sessions.closes[last], last_open + _TICK, last_open + _DAY)


@dataclass(frozen=True)
class _Sessions:
    """The trading times of a calendar.

    Attributes:
        dates: (D,) datetime64[D]; the trading dates, increasing.
        closes: (D,) datetime64[us]; when the daily bar of each trading date is complete.
        part_opens: (P,) datetime64[us]; when each uninterrupted part of a session begins. P is 0 if only the
            dates are known.
        part_closes: (P,) datetime64[us]; when each of these parts ends.
    """

    dates: np.ndarray
    closes: np.ndarray
    part_opens: np.ndarray
    part_closes: np.ndarray


def _sessions(name: str) -> _Sessions:
    if name == ALWAYS_OPEN:
        return _always_open()
    if name == FX_WEEK:
        return _fx_week()
    if name in exchange_calendars.get_calendar_names(include_aliases=True):
        return _exchange(name)
    return _holiday_set(name)


def _with_changes(
    sessions: _Sessions, extra_sessions: tuple[date, ...], extra_holidays: tuple[date, ...]
) -> _Sessions:
    """The sessions with dates added and removed. An added date has the hours of the session before it."""
    wanted = np.setdiff1d(np.array(extra_sessions, "datetime64[D]"), sessions.dates)
    wanted = wanted[(wanted > sessions.dates[0]) & (wanted < sessions.dates[-1])]
    removed = np.array(extra_holidays, "datetime64[D]")
    if not len(wanted) and not np.isin(removed, sessions.dates).any():
        return sessions
    model = np.searchsorted(sessions.dates, wanted) - 1
    shift = wanted - sessions.dates[model]
    # A session's parts lie between its close and that of the session before.
    owner = np.searchsorted(sessions.closes, sessions.part_closes)
    copied = [np.flatnonzero(owner == at) for at in model]
    parts = np.concatenate([np.empty(0, np.int64), *copied]).astype(np.int64)
    part_shift = np.repeat(shift, [len(some) for some in copied])
    dates = np.concatenate([sessions.dates, wanted])
    closes = np.concatenate([sessions.closes, sessions.closes[model] + shift])
    keep = ~np.isin(dates, removed)
    kept_parts = ~np.isin(sessions.dates[np.minimum(owner, len(sessions.dates) - 1)], removed)
    opens = [sessions.part_opens[kept_parts], sessions.part_opens[parts] + part_shift]
    ends = [sessions.part_closes[kept_parts], sessions.part_closes[parts] + part_shift]
    order = np.argsort(dates[keep])
    return _Sessions(
        dates=dates[keep][order],
        closes=closes[keep][order],
        part_opens=np.sort(np.concatenate(opens)),
        part_closes=np.sort(np.concatenate(ends)),
    )


def _always_open() -> _Sessions:
    opens = _instant(_DATES)
    return _Sessions(_DATES, opens + _DAY, opens, opens + _DAY)


def _fx_week() -> _Sessions:
    dates = _DATES[np.is_busday(_DATES)]
    opens = _zoned(dates - 1 + FX_TURN, FX_ZONE)
    closes = _zoned(dates + FX_TURN, FX_ZONE)
    return _Sessions(dates, closes, opens, closes)


def _holiday_set(name: str) -> _Sessions:
    closed = holidays.financial_holidays(name, years=range(FIRST_YEAR, LAST_YEAR + 1))
    weekmask = [day not in closed.weekend for day in range(7)]
    is_open = np.is_busday(_DATES, weekmask=weekmask, holidays=np.array(list(closed), "datetime64[D]"))
    dates = _DATES[is_open]
    closes = _zoned(dates + ECB_PUBLICATION, ECB_ZONE) if name in ECB_NAMES else _instant(dates + 1)
    unknown = np.array([], "datetime64[us]")
    return _Sessions(dates, closes, unknown, unknown)


def _exchange(name: str) -> _Sessions:
    schedule = _schedule(name)
    opens, break_starts, break_ends, closes = (
        schedule[column].dt.tz_convert(None).to_numpy("datetime64[us]")
        for column in ("open", "break_start", "break_end", "close")
    )
    dates = schedule.index.to_numpy("datetime64[D]")
    if exchange_calendars.resolve_alias(name) == CME_CODE:
        halts = _zoned(dates + CME_HALT, CME_ZONE)
        closes = np.where(dates < CME_HALT_SINCE, closes, np.minimum(closes, halts))
    halved = ~np.isnat(break_starts)
    sessions = _Sessions(
        dates=dates,
        closes=closes,
        part_opens=np.sort(np.concatenate([opens, break_ends[halved]])),
        part_closes=np.sort(np.concatenate([np.where(halved, break_starts, closes), closes[halved]])),
    )
    code = exchange_calendars.resolve_alias(name)
    added, removed = (_dates_of(table.get(code, ())) for table in (_EXTRA_SESSIONS, _CLOSED))
    return _with_changes(sessions, added, removed)


def _dates_of(texts: tuple[str, ...]) -> tuple[date, ...]:
    return tuple(map(date.fromisoformat, texts))


def _exchange_calendar(name: str) -> exchange_calendars.ExchangeCalendar:
    """Return the calendar with all known years; exchange_calendars keeps it for the next caller."""
    start, end = pd.Timestamp(_DATES[0]), pd.Timestamp(_DATES[-1])
    with warnings.catch_warnings():
        # exchange_calendars 4.13 uses features that pandas 3 deprecates.
        warnings.simplefilter("ignore", pd.errors.Pandas4Warning)
        try:
            return exchange_calendars.get_calendar(name, start=start, end=end)
        except ValueError:  # it knows fewer years; only a built calendar says which
            recent = exchange_calendars.get_calendar(name)
        start = max(start, recent.bound_min() or pd.Timestamp.min)
        end = min(end, recent.bound_max() or pd.Timestamp.max)
        return exchange_calendars.get_calendar(name, start=start, end=end)


def _schedule(name: str) -> pd.DataFrame:
    """Return one row per session with open, break_start, break_end and close (UTC), for all known years."""
    try:
        schedule: pd.DataFrame = _exchange_calendar(name).schedule
    except (ValueError, NotImplementedError) as error:
        raise PanelError(
            f"exchange_calendars {exchange_calendars.__version__} cannot build calendar {name!r} with "
            f"pandas {pd.__version__}; upgrade it, or choose another calendar from docs/calendars.md"
        ) from error
    return schedule


def _zoned(local: np.ndarray, zone: str) -> np.ndarray:
    """Convert local times of a time zone to UTC. None of them may fall into a clock change at night."""
    return pd.DatetimeIndex(local).tz_localize(zone).tz_convert(None).to_numpy("datetime64[us]")


def _instant(ds: ArrayLike) -> np.ndarray:
    return np.asarray(ds).astype("datetime64[us]")


def _after(instant: np.datetime64) -> np.ndarray:
    """Return `instant` plus one microsecond."""
    after: np.ndarray = _instant(instant) + _TICK
    return after


def _ceil_divide(duration: np.ndarray, step: np.timedelta64) -> np.ndarray:
    quotient: np.ndarray = -(-duration // step)
    return quotient
