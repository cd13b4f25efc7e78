"""The process' environment: what must be set before Prefect is imported, and where things are by default.

Only defaults: whatever the user has set stands.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deployments.json_lines import line_format
from forecasting.child_process import SAFE_PATH_VARIABLE
from forecasting.panel import DEFAULT_FOLDER

# What every run needs, wherever a worker starts it.
RUN_ENVIRONMENT = {
    # Prefect starts runs with `python -m`, which would import from the working directory first.
    SAFE_PATH_VARIABLE: "1",
    # The library's and the tasks' lines belong to the run, in the UI too.
    "PREFECT_LOGGING_EXTRA_LOGGERS": "forecasting,tasks,flows",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
_DEFAULTS = {
    # A temporary server takes 10 to 20 s to start on a small machine; Prefect gives up after 20.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    # Neither the server nor the client tells anyone that it is used.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # The default keeps leases in memory: a server that restarts forgets them, and their slots stay taken.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # What late lines leave of runs that the maintenance flow has removed; runs themselves are its affair.
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,orphans",
    **RUN_ENVIRONMENT,
}
BUNDLED_PANELS = Path(__file__).parent / "panels"
_OUR_LOGGERS = ("forecasting", "tasks", "flows", "deployments")


def prepare() -> None:
    """Set the defaults."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if not Path(DEFAULT_FOLDER).is_dir():
        os.environ.setdefault("NIGHTCAST_PANELS", str(BUNDLED_PANELS))


class _OwnLines(logging.StreamHandler[Any]):
    """Writes to whatever is standard output at the time: a progress bar puts itself in its place.

    Where none is there, only our own lines are wanted.
    """

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout or sys.__stdout__
        super().emit(record)


@contextmanager
def lines_where(is_shown: Callable[[logging.LogRecord], bool]) -> Iterator[None]:
    """Within `own_lines_only`, show fewer lines."""
    shown = {one for name in _OUR_LOGGERS for one in logging.getLogger(name).handlers}
    handlers = [handler for handler in shown if isinstance(handler, _OwnLines)]
    for handler in handlers:
        handler.addFilter(is_shown)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_shown)


@contextmanager
def own_lines_only() -> Iterator[None]:
    """Show our own lines on the terminal in place of Prefect's: for a person who runs one command.

    Errors are shown once, by the command line; the UI has all lines either way. The temporary server that
    Prefect starts inherits this, and it is chatty.
    """
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    handler = _OwnLines()
    handler.setFormatter(line_format("%(asctime)s  %(message)s"))
    for name in _OUR_LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
    try:
        yield
    finally:
        for name in _OUR_LOGGERS:
            logging.getLogger(name).removeHandler(handler)
