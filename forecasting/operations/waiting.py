"""Waiting for a forecast: for downstream jobs, which start when `latest/` shows what they need.

The wait reads the pointer in the store and nothing else. It needs no Prefect server.
"""

import logging
import time
from datetime import UTC, datetime, timedelta

import numpy as np

from forecasting.commands import command
from forecasting.errors import StaleError, StoreError, first_line
from forecasting.panel import Panel
from forecasting.publishing.manifest import Pointer
from forecasting.publishing.publish import find_pointer
from forecasting.records import instant_of
from forecasting.storage import Storage

_log = logging.getLogger(__name__)

# Often enough for a job in the morning, and a few hundred small reads of the store an hour.
_POLL_SECONDS = 15.0
_JUST_AFTER = np.timedelta64(1, "us")


def wait_for_forecast(panel: Panel, storage: Storage, as_of: np.datetime64, timeout: timedelta) -> Pointer:
    """Wait until `latest/` shows the forecast for `as_of`, or a later one.

    The pointer is read at once, then every 15 seconds, and a last time when the timeout is over. An `as_of`
    without a bar, such as a Saturday, stands for the last bar of the calendar before it, as in a run. While
    the pointer cannot be read, the wait goes on: the next run repairs a damaged pointer.

    Args:
        panel: the panel.
        storage: the store.
        as_of: the last bar that the forecast must know, datetime64 in UTC.
        timeout: how long to wait; 0 reads the pointer once.

    Returns:
        the pointer to the forecast that `latest/` shows.

    Raises:
        StaleError: the timeout is over, and `latest/` does not show the forecast. The message says what it
            shows, or why it cannot be read.
        PanelError: the calendar has no bars of the panel's frequency.
    """
    end, is_told = time.monotonic() + timeout.total_seconds(), False
    while True:
        try:
            pointer = find_pointer(storage, panel)
            shown = _describe(pointer)
        except StoreError as error:
            pointer, shown = None, first_line(error)
        if pointer is not None and _knows(panel, pointer, as_of):
            return pointer
        remaining = end - time.monotonic()
        if remaining <= 0:
            raise StaleError(_why_not(panel, storage, as_of, timeout, shown))
        if not is_told:
            until = datetime.now(UTC) + timedelta(seconds=remaining)
            _log.info("wait: %s; waiting for %s until %s", shown, panel.label(as_of), f"{until:%H:%M:%S} UTC")
            is_told = True
        time.sleep(min(_POLL_SECONDS, remaining))


def _knows(panel: Panel, pointer: Pointer, as_of: np.datetime64) -> bool:
    """Whether the forecast knows all bars up to `as_of`."""
    ends = np.array([panel.instant(pointer.as_of), as_of]) + _JUST_AFTER
    known, wanted = panel.calendar.position(ends)  # of the next bars
    return bool(known >= wanted)


def _describe(pointer: Pointer | None) -> str:
    if pointer is None:
        return "nothing is published yet"
    published_at = instant_of(pointer.published_at)
    return f"the newest forecast is as of {pointer.as_of}, published {published_at:%Y-%m-%d %H:%M} UTC"


def _why_not(panel: Panel, storage: Storage, as_of: np.datetime64, timeout: timedelta, shown: str) -> str:
    label = panel.label(as_of)
    return (
        f"panel {panel.name} has no forecast as of {label} after {timeout.total_seconds() / 60:g} minutes: "
        f"{shown}; run: {command('run', panel, '--as-of', label, store=storage.uri)}"
    )
