"""Ctrl-C during a flow in this process: end within seconds, with one line, and leave no child process.

Prefect alone would not: Ctrl-C reaches its temporary server too, and the client then waits for minutes for a
server that has ended.
"""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Never

INTERRUPTED = 130  # 128 + SIGINT, what shells report
MESSAGE = "nightcast: interrupted; run the same command again to go on"

# For Prefect to mark the run as crashed and to free the panel's slot. Ctrl-C again ends at once.
_GRACE_SECONDS = 3.5
_WAKE_UP = getattr(signal, "SIGUSR1", signal.SIGTERM)  # Windows has none, but may import this module


@contextmanager
def ending_at_interrupt(stop_children: Callable[[], None]) -> Iterator[None]:
    """Within this context, end the process with exit code 130 at SIGINT.

    The main thread gets a KeyboardInterrupt, and a few seconds to clean up. SIGINT is blocked for the child
    processes that are started meanwhile, so that the cleaning up finds them at work. What this process's
    threads print after the line is dropped.

    Call this in the main thread.

    Args:
        stop_children: ends the child processes that do not end with this process; called last.
    """
    hear, tell = os.pipe()
    os.set_blocking(tell, False)
    told = threading.Event()
    watcher = threading.Thread(target=_watch, args=(hear, told, stop_children), daemon=True)
    # Python writes to the pipe whichever thread gets the signal; its handler has to wait for the main thread.
    before_fd = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    before_handler = signal.signal(_WAKE_UP, lambda *_: None)
    watcher.start()
    before_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    except KeyboardInterrupt:
        told.wait(_GRACE_SECONDS)  # the main thread may be faster than the watcher
        raise
    finally:
        if told.is_set():
            _end(stop_children)
        signal.pthread_sigmask(signal.SIG_SETMASK, before_mask)
        signal.set_wakeup_fd(before_fd)
        os.close(tell)
        watcher.join()  # which ends the process if a signal came at the last moment
        signal.signal(_WAKE_UP, before_handler)
        os.close(hear)


def _watch(hear: int, told: threading.Event, stop_children: Callable[[], None]) -> None:
    """Wait for SIGINT, wake the main thread up, and end the process if it takes too long."""
    while (signals := os.read(hear, 1)) != bytes([signal.SIGINT]):
        if not signals:  # the context has ended
            return
    _print_last_line(MESSAGE)
    told.set()
    # The main thread may be in a system call. Once it is woken, Python raises KeyboardInterrupt there.
    signal.pthread_kill(threading.main_thread().ident or 0, _WAKE_UP)
    end = time.monotonic() + _GRACE_SECONDS
    while select.select([hear], [], [], max(end - time.monotonic(), 0))[0]:
        if os.read(hear, 1) in (b"", bytes([signal.SIGINT])):
            break
    _end(stop_children)


def end_process(line: str, code: int, stop_children: Callable[[], None]) -> Never:
    """End this process at once, from any thread, with a last line on standard error."""
    _print_last_line(line)
    _end(stop_children, code)


def _print_last_line(line: str) -> None:
    """Print a line, and drop all that is printed after it."""
    show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""  # a progress bar has hidden it
    sys.stderr.write(f"{show_cursor}{line}\n")
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _end(stop_children: Callable[[], None], code: int = INTERRUPTED) -> Never:
    try:
        stop_children()
    finally:
        os._exit(code)
