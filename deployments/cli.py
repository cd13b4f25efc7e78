"""The command line: it parses, calls a flow or the library, and prints.

Exit 0: the command did what it says. Exit 1: it did not, with one clear line why.
"""

import sys
import traceback
from collections.abc import Sequence
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
from deployments.commands.prices import audit, ingest
from deployments.commands.score import score
from deployments.commands.serve import serve
from deployments.commands.status import status
from forecasting import __version__
from forecasting.errors import NightcastError, first_line

app = App(
    name="nightcast",
    help="Scheduled batch forecasts of price series: 72 steps ahead, with honest intervals, every morning.",
    version=__version__,
    help_format="plaintext",
)
COMMANDS = (new, run, ingest, audit, score, backtest, backfill, models, status, serve, deploy, demo)
for command in COMMANDS:
    app.command(command)


def main(words: Sequence[str] | None = None) -> Never:
    """Run the command in `words` (else the program's arguments), and exit: 1 when it cannot be done."""
    environment.prepare()
    try:
        with environment.own_lines_only():
            app(sys.argv[1:] if words is None else words, exit_on_error=False, print_error=False)
    except (NightcastError, CycloptsError) as error:
        _fail(str(error))
    except Exception as error:  # noqa: BLE001 - nobody expects a traceback; it is kept for whoever asks
        with NamedTemporaryFile("w", prefix="nightcast-", suffix=".log", delete=False) as log:
            traceback.print_exc(file=log)
        _fail(f"unexpected {type(error).__name__}: {first_line(error)}; the traceback is in {log.name}")
    sys.exit(0)


def _fail(reason: str) -> Never:
    print(f"nightcast: {' '.join(reason.split())}", file=sys.stderr)
    sys.exit(1)
