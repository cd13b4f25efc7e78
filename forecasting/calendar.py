"""Trading calendars: which bars exist, and when each bar is closed and may be used.

`docs/calendars.md` describes each kind of calendar. All times are numpy datetime64[us] in UTC.
"""

import difflib
import warnings
from dataclasses import dataclass
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

# A session has at most 25 hours, on the day on which clocks are set back. 1970-01-01 was a Thursday.
SLOTS_A_DAY, _WEEKDAYS, _THURSDAY = 25, 7, 3
# Number of hours of the week that `BarCalendar.slot` tells apart.
SLOTS = _WEEKDAYS * SLOTS_A_DAY

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

_DAY = np.timedelta64(1, "D")
_TICK = np.timedelta64(1, "us")
_DATES = np.arange(f"{FIRST_YEAR}-01-01", f"{LAST_YEAR + 1}-01-01", dtype="datetime64[D]")


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


class BarCalendar:
    """All bars of one calendar at one frequency; create it with `bar_calendar`.

    The calendar is stored as *spans*: increasing, disjoint intervals of time. Bars start at the beginning of
    a span and follow each other every `step`; the last bar ends with its span, and may be shorter. An
    intraday span is a session, or the part of a session before or after a lunch break. A daily span is a
    trading date. Each bar has an ordinal, counted over all spans, so that no list of all bars is needed.

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

    def slot(self, ds: ArrayLike) -> np.ndarray:
        """Return the hour of the week of each bar, from 0 to `SLOTS` - 1.

        It is the weekday on which the bar's session opened, and the hours since. So it follows the market
        through changes of the clock.
        """
        ds = _instant(ds)
        opened = self._opens[self._span(ds)]
        weekday = (opened.astype("datetime64[D]").astype(np.int64) + _THURSDAY) % _WEEKDAYS
        hour = np.clip((ds - opened) // np.timedelta64(1, "h"), 0, SLOTS_A_DAY - 1)
        slots: np.ndarray = weekday * SLOTS_A_DAY + hour
        return slots

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
        start = ds.astype("datetime64[D]") if self._step == _DAY else ds
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


def hour_of_slot(slot: np.ndarray) -> np.ndarray:
    """Return the hours since the session opened, for slots of `BarCalendar.slot`."""
    hours: np.ndarray = slot % SLOTS_A_DAY
    return hours


@cache
def bar_calendar(name: str, freq: str) -> BarCalendar:
    """Return the bars of calendar `name` at `freq`: 1D, 1h, 15min, 5min or 1min.

    Raises:
        ValueError: there is no calendar of that name.
        PanelError: the calendar cannot be built, or has no bars of that frequency.

    Example:
        >>> nyse = bar_calendar("XNYS", "1D")
        >>> nyse.future(np.datetime64("2026-11-25", "us"), 2).astype("datetime64[D]").tolist()
        [datetime.date(2026, 11, 27), datetime.date(2026, 11, 30)]
        >>> nyse.closes(np.datetime64("2026-11-27", "us")).item()  # a half day in New York
        datetime.datetime(2026, 11, 27, 18, 0)
    """
    check_calendar(name)
    step = pd.Timedelta(freq).to_numpy().astype("timedelta64[us]")
    sessions = _sessions(name)
    if step == _DAY:
        opens = _instant(sessions.dates)
        # A half day in Wellington ends at 12:45, which is 23:45 UTC of the day before. No bar may close
        # before its `ds`.
        return BarCalendar(name, step, opens, np.clip(sessions.closes, opens + _TICK, opens + _DAY))
    if not len(sessions.part_opens):
        raise PanelError(
            f"calendar {name!r} has dates but no hours, so no bars of {freq}; "
            'set freq = "1D", or an exchange\'s calendar such as XNYS'
        )
    return BarCalendar(name, step, sessions.part_opens, sessions.part_closes)


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
    return _Sessions(
        dates=dates,
        closes=closes,
        part_opens=np.sort(np.concatenate([opens, break_ends[halved]])),
        part_closes=np.sort(np.concatenate([np.where(halved, break_starts, closes), closes[halved]])),
    )


def _schedule(name: str) -> pd.DataFrame:
    """Return one row per session with open, break_start, break_end and close (UTC), for all known years."""
    with warnings.catch_warnings():
        # exchange_calendars 4.13 uses features that pandas 3 deprecates.
        warnings.simplefilter("ignore", pd.errors.Pandas4Warning)
        try:
            recent = exchange_calendars.get_calendar(name)  # the only public way to its bounds
            start = max(pd.Timestamp(_DATES[0]), recent.bound_min() or pd.Timestamp.min)
            end = min(pd.Timestamp(_DATES[-1]), recent.bound_max() or pd.Timestamp.max)
            schedule: pd.DataFrame = exchange_calendars.get_calendar(name, start=start, end=end).schedule
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
