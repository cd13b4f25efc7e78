"""The command line: parses arguments, calls a flow or the library, and prints the result.

Exit code 0: the command did its work. Exit code 1: it did not, and one line says why.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Never

from cyclopts import App, CycloptsError

from deployments import environment
from deployments.commands.backfill import backfill
from deployments.commands.backtest import backtest
from deployments.commands.deploy import deploy
from deployments.commands.models import models
from deployments.commands.new import new
from deployments.commands.nightly import demo, run
from deployments.commands.open import open_
from deployments.commands.prices import audit, ingest
from deployments.commands.restore import restore
from deployments.commands.score import score
from deployments.commands.serve import serve
from deployments.commands.status import status
from deployments.commands.wait import wait
from deployments.interrupt import INTERRUPTED, MESSAGE
from forecasting import __version__
from forecasting.errors import NightcastError, first_line, one_line

app = App(
    name="nightcast",
    help="Scheduled batch forecasts of price series: 72 steps ahead, with honest intervals, every morning.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # it would print nothing
)
COMMANDS = (
    *(new, run, open_, ingest, audit, score, backtest, backfill, models),
    *(restore, status, wait, serve, deploy, demo),
)
BROKEN_PIPE = 141  # as a shell says it: 128 and the number of SIGPIPE
for command in COMMANDS:
    app.command(command)


def main(words: Sequence[str] | None = None) -> Never:
    """Run the command in `words` (default: the program's arguments) and exit.

    The exit code is 1 if the command fails, 130 at Ctrl-C, and 141 if nobody reads its output to the end.
    """
    environment.prepare()
    try:
        code = _exit_code(sys.argv[1:] if words is None else words)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads the output, such as `head`, wants no more. Python would fail again as it flushes.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open until the end
        code = BROKEN_PIPE
    sys.exit(code)


def _exit_code(words: Sequence[str]) -> int:
    try:
        with environment.own_lines_only():
            app(words, exit_on_error=False, print_error=False)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        print(MESSAGE, file=sys.stderr)
        return INTERRUPTED
    except (NightcastError, CycloptsError) as error:
        return _fail(str(error))
    except Exception as error:  # noqa: BLE001 - users get one line; the traceback goes to a file
        with NamedTemporaryFile("w", prefix="nightcast-", suffix=".log", delete=False) as log:
            traceback.print_exc(file=log)
        return _fail(
            f"unexpected {type(error).__name__}: {first_line(error)}; the traceback is in {log.name}"
        )
    return 0


def _fail(reason: str) -> int:
    print(f"nightcast: {one_line(reason)}", file=sys.stderr)
    return 1
