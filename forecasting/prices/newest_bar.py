"""The newest bar that a run may use, from the calendar and from what the series have.

Only recent bars are read: older ones say nothing, unless the source has stopped.
"""

from datetime import datetime

import numpy as np

from forecasting.as_of import to_datetime
from forecasting.calendar import BarCalendar
from forecasting.errors import AuditError
from forecasting.panel import Panel
from forecasting.prices.audit.stored import usable_bars
from forecasting.prices.bars import Bars
from forecasting.prices.table import PriceTable

# One live series in five may still lack a bar that the others have: `as_of` needs 80% of them.
_ONE_LATE_IN = 5
_NEVER = -1


def newest_bar(panel: Panel, table: PriceTable, now: np.datetime64) -> np.datetime64:
    """The newest bar in a price table that a run at `now` can use: `resolve_as_of` says which one that is.

    Raises:
        AuditError: no bar is closed by then.
        StoreError: the price table cannot be read.
    """
    closed = panel.calendar.newest_closed(now)
    return resolve_as_of(_recent(panel, table, closed), panel, panel.calendar, now)


def given_bar(panel: Panel, table: PriceTable, as_of: str, now: datetime) -> np.datetime64:
    """The newest bar of a price table up to a given date, so that a Saturday means the Friday before.

    Raises:
        AuditError: the date lies after `now`.
        StoreError: the price table cannot be read.
    """
    instant = panel.instant(as_of)
    if to_datetime(instant).date() > now.date():
        raise AuditError(
            f"as_of {as_of} lies after this run's time, {now:%Y-%m-%d %H:%M} UTC; give an earlier one"
        )
    return np.datetime64(max(_recent(panel, table, instant).ds, default=instant))


def _recent(panel: Panel, table: PriceTable, end: np.datetime64) -> Bars:
    """The bars up to `end` that decide which series are live; all of them if the recent ones do not tell."""
    calendar, stale, values = panel.calendar, panel.audit.stale_bars, [panel.forecast.target]
    newest = table.newest_ds
    begin = calendar.back(end if newest is None else min(newest, end), 2 * stale + 1)
    bars = usable_bars(table.newest_since(begin, values), panel).until(end)
    if len(bars) and calendar.position(bars.ds.max()) - calendar.position(begin) >= stale:
        return bars
    return usable_bars(table.newest(end, values), panel)


def resolve_as_of(bars: Bars, panel: Panel, calendar: BarCalendar, instant: np.datetime64) -> np.datetime64:
    """The newest bar closed at `instant` that at least 80% of the live series have reached.

    A series is live while its last bar is at most `stale_bars` behind the panel's newest one, so that
    delisted series do not hold the panel back.

    Raises:
        AuditError: no bar is closed by then.
    """
    found = resolve_as_ofs(bars, panel, calendar, np.array([calendar.newest_closed(instant)]))[0]
    if np.isnat(found):
        raise AuditError(
            f"panel {panel.name} has no bar that was closed at {instant}Z; "
            "ingest older prices, or give a later as_of"
        )
    return np.datetime64(found)


def resolve_as_ofs(bars: Bars, panel: Panel, calendar: BarCalendar, closed: np.ndarray) -> np.ndarray:
    """(K,) `as_of` for each of `closed` (K,), the newest closed bars at K instants; NaT if there is none.

    See `resolve_as_of` for the rule.
    """
    if not bars.ids:
        return np.full(len(closed), np.datetime64("NaT", "us"))
    counts = bars.counts_until(closed)
    last = bars.ds[bars.offsets[:-1, None] + np.maximum(counts - 1, 0)]
    position = np.where(counts > 0, calendar.position(last), _NEVER)
    live = (counts > 0) & (position >= position.max(axis=0) - panel.audit.stale_bars)
    oldest_first = np.sort(np.where(live, last, np.datetime64("NaT")), axis=0)  # which puts NaT at the end
    return oldest_first[live.sum(axis=0) // _ONE_LATE_IN, np.arange(len(closed))]
