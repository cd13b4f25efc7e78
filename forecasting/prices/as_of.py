"""From the time of a run to its `as_of`."""

import numpy as np

from forecasting.bars import Bars
from forecasting.calendar import BarCalendar
from forecasting.errors import AuditError
from forecasting.panel import Panel

# One in so many live series may still lack a bar that the others have: most are 80%.
_ONE_LATE_IN = 5


def resolve_as_of(bars: Bars, panel: Panel, calendar: BarCalendar, instant: np.datetime64) -> np.datetime64:
    """The newest bar closed at `instant` that most live series (80%) have, or have a later one.

    A series is live while its last bar is at most `stale_bars` behind the panel's newest one: the dead ones
    must not hold the panel back for ever.

    Raises:
        AuditError: no bar is closed by then.
    """
    bars = bars.until(calendar.newest_closed(instant))
    if not bars.ids:
        raise AuditError(
            f"panel {panel.name} has no bar that was closed at {instant}Z; "
            f"run: nightcast ingest {panel.name}, or give a later --as-of"
        )
    last = bars.ds[bars.last]
    position = calendar.position(last)
    live = np.sort(last[position >= position.max() - panel.audit.stale_bars])
    return np.datetime64(live[len(live) // _ONE_LATE_IN])
