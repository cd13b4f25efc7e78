"""Expected states: how a panel's freshness changes with time, as long as no other run ends.

A page that lies in the store is read hours after it was written. It gets the state of now and the moments
when that state changes, so that it tells a reader at any time what `nightcast status` would tell.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from forecasting.errors import PanelError
from forecasting.operations.freshness import Evidence, Freshness, longest_run
from forecasting.panel import Panel

# Far enough for the longest holidays of an exchange, and for a panel that runs every five minutes.
_AHEAD = timedelta(days=14)
_RUNS = 4000


def expected_states(evidence: Evidence, now: datetime) -> list[tuple[datetime, Freshness]]:
    """Return the freshness at `now`, then each later one that differs in its state, with its time (UTC).

    The list ends with the first state that says that runs are no longer started, or after 14 days.

    Raises:
        PanelError: the calendar does not cover `now`.
    """
    states = [(now, evidence.assess(now))]
    for due in due_soon(evidence.panel, now - longest_run(evidence.panel)):
        last = states[-1][1]
        if last.state in ("stale", "never"):
            break
        counts_at = due + longest_run(evidence.panel)
        try:
            found = evidence.assess(counts_at)
        except PanelError:  # the calendar ends
            break
        if found.state != last.state:
            states.append((counts_at, found))
    return states


def due_soon(panel: Panel, after: datetime) -> Iterator[datetime]:
    """Yield the due times (UTC) of the panel's runs in the 14 days after `after`, at most 4,000."""
    return islice(panel.due_times(after, after + _AHEAD), _RUNS)
