"""The runner of `nightcast serve`: Prefect's own, which starts what is due, with our end and our limit."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

import httpx
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

    async def __aenter__(self) -> Self:
        """Start, with a poll that outlives a restart of the server. `RunWatcher` ends a longer absence.

        Prefect's own poll gives up at the third failure, after 15 seconds.
        """
        await super().__aenter__()
        poller = self._scheduled_run_poller
        poll = poller._get_and_submit_flow_runs  # noqa: SLF001 - Prefect has no setting for it

        async def poll_patiently(*given: Any, **named: Any) -> None:
            with suppress(httpx.TransportError):
                await poll(*given, **named)

        poller._get_and_submit_flow_runs = poll_patiently  # type: ignore[method-assign] # noqa: SLF001
        # It would only log. Once the server is gone, Python warns that its coroutine is never awaited.
        if self._cancelling_observer is not None:
            self._cancelling_observer.on_failure = None
        return self

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
