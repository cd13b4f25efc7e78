"""Child processes: what every process that Nightcast starts has in common."""

import os
import threading

# The interpreter's option not to import from the working directory, where a user's own `json.py` or
# `forecasting.py` would replace the real one. The environment variable does the same for all descendants.
SAFE_PATH = "-P"
SAFE_PATH_VARIABLE = "PYTHONSAFEPATH"

_STANDARD_INPUT = 0


def end_with_parent() -> None:
    """End this process when its parent ends, even if the parent is killed.

    Call this in the child. Its standard input must be a pipe that the parent holds open and never writes to:
    the pipe closes with the parent.
    """
    threading.Thread(target=_exit_at_end_of_input, daemon=True).start()


def _exit_at_end_of_input() -> None:
    while os.read(_STANDARD_INPUT, 1):
        pass
    os._exit(1)
