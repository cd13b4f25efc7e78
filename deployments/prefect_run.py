"""Run a flow from the command line, in this process."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import time
from typing import Any

import numpy as np
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL

from deployments.interrupt import ending_at_interrupt
from deployments.server_errors import check_answers, clear_server_errors
from deployments.server_watch import ending_without_server
from deployments.temporary_server import TemporaryServer
from deployments.unsent_logs import unsent_logs_as_warning
from flows.backfill import BackfillResult, backfill
from flows.nightly import nightly
from forecasting.as_of import to_datetime
from forecasting.night import NightResult
from forecasting.selection.challenger import Mode

_log = logging.getLogger("flows")

# Without a pause, a temporary server drops its last events and prints tracebacks when it ends.
_DRAIN_SECONDS = 15


def run_nightly(
    panel: str, panels: str | None, store: str, as_of: np.datetime64 | None, mode: Mode
) -> NightResult:
    """Run the nightly flow once, and return what it published.

    Raises:
        NightcastError: the run could not publish; the message says why.
    """
    when = to_datetime(as_of) if as_of is not None else None
    with _served():
        return nightly(
            panel=panel,
            as_of=when.date() if when else None,
            as_of_time=time(when.hour, when.minute) if when else None,
            mode=mode,
            store=store,
            panels=panels,
        )


def run_backfill(**parameters: Any) -> BackfillResult:
    """Run the backfill flow with its own parameters, and return what it did.

    Raises:
        NightcastError: the backfill could not begin, or some dates were not published; the message says why.
    """
    with _served():
        return backfill(**parameters)


@contextmanager
def _served() -> Iterator[None]:
    configured = PREFECT_API_URL.value()
    temporary = TemporaryServer()
    if configured is None:
        _log.info("prefect: starting a temporary server, which takes some seconds")
    else:
        check_answers(configured)
    fix = "run the same command again" + (" once the server runs" if configured else "")
    with (
        ending_at_interrupt(temporary.kill),
        ending_without_server(lambda: configured or temporary.api, fix, temporary.kill),
        clear_server_errors(configured or "that was started for this run"),
        unsent_logs_as_warning(),
        nullcontext() if configured else temporary.running(),
    ):
        try:
            yield
        finally:
            APILogWorker.drain_all(timeout=_DRAIN_SECONDS)
            EventsWorker.drain_all(timeout=_DRAIN_SECONDS)
