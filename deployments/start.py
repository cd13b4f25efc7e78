"""The program `nightcast`: how its process starts and ends. The commands are in `cli`.

Importing the commands takes a second or two. This module imports nothing slow: Ctrl-C works meanwhile.
"""

import atexit
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Never

from deployments.interrupt import INTERRUPTED, MESSAGE
from deployments.temporary_server_start import start_early


def main() -> Never:
    """Run the command that the program's arguments name, and exit with its code.

    See `cli.main` for the exit codes.
    """
    end = _ProcessEnd()
    atexit.register(end)  # the first one registered is the last one called
    handler = signal.signal(signal.SIGINT, _interrupted)
    start_early(sys.argv[1:])
    from deployments import cli  # noqa: PLC0415 - Ctrl-C has to work while this imports

    signal.signal(signal.SIGINT, handler)
    try:
        cli.main()
    except SystemExit as reason:
        end.code = int(reason.code or 0)
        raise


class _ProcessEnd:
    """Ends the process once everything else that was registered for its end has been called.

    The interpreter is not taken down. Threads of C++ libraries, such as those of pyarrow, may still let go of
    Python objects at that time, and any of them that asks for the interpreter then aborts the process: its
    exit code is 134, although its work is done.
    """

    code = 1

    def __call__(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
                stream.flush()
        os._exit(self.code)


def _interrupted(_signal: int, _frame: FrameType | None) -> None:
    """End at once: nothing has begun that needs an end."""
    os.write(2, f"{MESSAGE}\n".encode())
    os._exit(INTERRUPTED)
