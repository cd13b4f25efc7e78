"""The runner of `nightcast serve`: Prefect's own, which starts what is due, with our end and our limit."""

from collections.abc import Callable
from typing import Any

from prefect.runner import Runner

_POLL_SECONDS = 5


def default_limit(panels: int) -> int:
    """The default limit of simultaneous runs for a number of panels.

    One run of a panel works while others may wait for it or for its source, or make a long backfill. Waiting
    runs must not keep the nightly runs of other panels from starting, nor the freshness run that would report
    them.
    """
    return 3 * panels + 2


class PanelRunner(Runner):
    """Starts the runs of the panels that are served.

    Args:
        panels: how many panels are served.
        limit: how many runs may be at work at the same time; None for `default_limit`.
    """

    def __init__(self, panels: int, limit: int | None) -> None:
        self._given_limit = limit
        super().__init__(
            "nightcast",
            pause_on_shutdown=False,
            limit=limit or default_limit(panels),
            query_seconds=_POLL_SECONDS,
        )

    def fit_limit(self, panels: int) -> None:
        """Fit the default limit to a new number of panels."""
        if self._limiter is not None and self._given_limit is None:
            self._limiter.total_tokens = default_limit(panels)

    def on_sigterm(self, end: Callable[[], Any]) -> None:
        """Call `end` at SIGTERM. Prefect's own handler uses a thread with another event loop."""
        self._end = end

    def handle_sigterm(self, *_args: Any, **_kwargs: Any) -> None:
        """Called by Prefect at SIGTERM."""
        self._end()
