"""Watches the Prefect server during a flow in this process, and ends the process if the server stays away.

Prefect alone would not: its client tries each request again for a minute, and a run that fails makes several,
so that it takes minutes until the run ends, with tracebacks.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from deployments.interrupt import end_process

# As long as Prefect's client tries a request again: a server that restarts within it costs nothing.
PATIENCE_SECONDS = 60.0
_EVERY_SECONDS = 2.0
_FAILED = 1


@contextmanager
def ending_without_server(
    address: Callable[[], str | None],
    fix: str,
    stop_children: Callable[[], None],
    patience: float = PATIENCE_SECONDS,
) -> Iterator[None]:
    """Within this context, end the process with exit code 1 and one line if the server stays away.

    A server that this process has never reached is not watched: it may need settings that Prefect knows.

    Args:
        address: returns the address of the server's API; None if it is not known yet.
        fix: what to do if the server stays away.
        stop_children: ends the child processes that do not end with this process.
        patience: how many seconds the server may be away.
    """

    def give_up(api: str | None) -> None:
        reason = f"the Prefect server {api} has not answered for {patience:.0f} s, and the run was given up"
        end_process(f"nightcast: {reason}; {fix}", _FAILED, stop_children)

    is_over = threading.Event()
    watch = threading.Thread(target=_watch, args=(address, patience, give_up, is_over), daemon=True)
    watch.start()
    try:
        yield
    finally:
        is_over.set()
        watch.join()


def _watch(
    address: Callable[[], str | None],
    patience: float,
    give_up: Callable[[str | None], None],
    is_over: threading.Event,
) -> None:
    answered: float | None = None
    while True:  # it asks at once: a server that dies in the first seconds of a run has been reached
        api = address()
        if api is not None and _answers(api):
            answered = time.monotonic()
        elif answered is not None and time.monotonic() - answered >= patience:
            give_up(api)
        if is_over.wait(_EVERY_SECONDS):
            return


def _answers(api: str) -> bool:
    """Whether the server answers, with whatever status."""
    try:
        httpx.get(f"{api}/health", timeout=5)
    except httpx.HTTPError:
        return False
    return True
