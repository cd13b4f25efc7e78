"""The process's environment: settings that are needed before Prefect is imported, and default locations.

These are only defaults: the user's own settings win.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deployments.json_lines import line_format
from deployments.prefect_defaults import set_prefect_defaults
from forecasting.panel import DEFAULT_FOLDER

BUNDLED_PANELS = Path(__file__).parent / "panels"
_OUR_LOGGERS = ("forecasting", "tasks", "flows", "deployments")


def prepare() -> None:
    """Set the defaults."""
    set_prefect_defaults()
    if not Path(DEFAULT_FOLDER).is_dir():
        os.environ.setdefault("NIGHTCAST_PANELS", str(BUNDLED_PANELS))


class _OwnLines(logging.StreamHandler[Any]):
    """Writes to the present standard output, because a progress bar replaces it.

    If there is none, it writes to the original one.
    """

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout or sys.__stdout__
        super().emit(record)


@contextmanager
def show_only(is_shown: Callable[[logging.LogRecord], bool]) -> Iterator[None]:
    """Within `own_lines_only`, show only the lines that pass `is_shown`."""
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
    """Show only our own log lines on the terminal, not Prefect's, while a person runs one command.

    The command line shows errors once. The UI always has all lines. The temporary server that Prefect starts
    inherits this setting, and would log a lot without it.
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
