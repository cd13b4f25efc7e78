"""The moments of a process at which it writes to a store: counted, or the one at which it is killed.

A moment is right before a file or a folder below the store is made, renamed, linked, removed or synced by
Python, and right before and after each call of `deltalake` and `obstore` that writes.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import obstore
from deltalake import DeltaTable
from deltalake.table import TableOptimizer

from forecasting.prices import delta

_FILES = {"os.rename", "os.link", "os.remove", "os.mkdir"}
# Each with the name of the function that writes.
_CALLS = (
    (delta, "write_deltalake"),
    (DeltaTable, "create"),
    (DeltaTable, "vacuum"),
    (TableOptimizer, "z_order"),
    (obstore, "delete"),
)


def kill_at_moment(root: Path, number: int) -> None:
    """Let this process kill itself at that moment, counted from 0."""
    seen = -1

    def at_moment() -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)

    _watch(root, at_moment)


def count_moments(root: Path) -> Callable[[], int]:
    """Count the moments from now on; the result says how many there were."""
    seen = 0

    def at_moment() -> None:
        nonlocal seen
        seen += 1

    _watch(root, at_moment)
    return lambda: seen


def _watch(root: Path, at_moment: Callable[[], None]) -> None:
    below = f"{root}/"

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event not in _FILES and event != "open":
            return
        # A synced file or folder is opened by `os.open`, which has no mode.
        writes = event in _FILES or given[1] is None or set("wxa+") & set(given[1])
        if writes and any(str(one).startswith(below) for one in given[:2]):
            at_moment()

    sys.addaudithook(hook)
    for owner, name in _CALLS:
        setattr(owner, name, _told(getattr(owner, name), at_moment))


def _told(call: Callable[..., Any], at_moment: Callable[[], None]) -> Callable[..., Any]:
    def told(*given: Any, **named: Any) -> Any:
        at_moment()
        try:
            return call(*given, **named)
        finally:
            at_moment()

    return told
