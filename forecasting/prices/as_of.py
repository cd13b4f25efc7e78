"""From the time of a run to its `as_of`."""

import numpy as np

from forecasting.bars import Bars
from forecasting.calendar import BarCalendar
from forecasting.errors import AuditError
from forecasting.panel import Panel

# One in so many live series may still lack a bar that the others have: most are 80%.
_ONE_LATE_IN = 5
_NEVER = -1


def resolve_as_of(bars: Bars, panel: Panel, calendar: BarCalendar, instant: np.datetime64) -> np.datetime64:
    """The newest bar closed at `instant` that most live series (80%) have, or have a later one.

    A series is live while its last bar is at most `stale_bars` behind the panel's newest one: the dead ones
    must not hold the panel back for ever.

    Raises:
        AuditError: no bar is closed by then.
    """
    found = resolve_as_ofs(bars, panel, calendar, np.array([calendar.newest_closed(instant)]))[0]
    if np.isnat(found):
        raise AuditError(
            f"panel {panel.name} has no bar that was closed at {instant}Z; "
            f"run: nightcast ingest {panel.name}, or give a later --as-of"
        )
    return np.datetime64(found)


def resolve_as_ofs(bars: Bars, panel: Panel, calendar: BarCalendar, closed: np.ndarray) -> np.ndarray:
    """(K,) the same for each of `closed` (K,), the newest closed bars at as many instants; NaT for none."""
    if not bars.ids:
        return np.full(len(closed), np.datetime64("NaT", "us"))
    counts = bars.counts_until(closed)
    last = bars.ds[bars.offsets[:-1, None] + np.maximum(counts - 1, 0)]
    position = np.where(counts > 0, calendar.position(last), _NEVER)
    live = (counts > 0) & (position >= position.max(axis=0) - panel.audit.stale_bars)
    oldest_first = np.sort(np.where(live, last, np.datetime64("NaT")), axis=0)  # which puts NaT at the end
    return oldest_first[live.sum(axis=0) // _ONE_LATE_IN, np.arange(len(closed))]
