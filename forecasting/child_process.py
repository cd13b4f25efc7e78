"""End with the parent process: for a child that must not be left behind when its parent is killed."""

import os
import threading

_STANDARD_INPUT = 0


def end_with_parent() -> None:
    """From now on, end this process when its standard input ends, a pipe whose other end the parent holds."""
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    while os.read(_STANDARD_INPUT, 1):
        pass
    os._exit(1)
