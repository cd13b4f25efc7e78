"""The output of `nightcast backfill`: a line for each date and, on a terminal, a progress bar below."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deployments import environment
from forecasting.formats import format_count
from forecasting.operations.missing import MissingAsOfs
from forecasting.panel import Panel
from forecasting.publishing.manifest import Manifest

# The steps of a date would be ten lines; the run's log in the UI has them.
_WORTH_A_LINE = ("flows", "tasks.backfill_outcomes", "tasks.ingest", "tasks.panel_slot")


def print_missing(panel: Panel, missing: MissingAsOfs) -> None:
    """Print each missing date on its own line, then their number."""
    for as_of in missing.as_ofs:
        print(as_of)
    print(f"{panel.name}: {missing.summary}")


def print_published(panel: Panel, published: Sequence[Manifest], store: str) -> None:
    """Print how many dates were published, and how to read one."""
    print(f"\n{panel.name}: {format_count(len(published), 'date')} published")
    if published:
        given = ", ".join(map(repr, (panel.name, published[-1].as_of)))
        print(f"Read one: forecasting.publishing.reader.as_of({given}, store={store!r})")


@contextmanager
def shown(title: str) -> Iterator[None]:
    """Show the lines of a backfill and, on a terminal, a progress bar that names the present step."""
    with environment.show_only(_is_worth_a_line):
        if not sys.stdout.isatty():
            yield
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[step]}"),
        )
        with Progress(*columns, console=Console(highlight=False, soft_wrap=True)) as progress:
            handler = _BarHandler(progress, title)
            logging.getLogger("tasks").addHandler(handler)
            try:
                yield
            finally:
                logging.getLogger("tasks").removeHandler(handler)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.startswith(_WORTH_A_LINE)


class _BarHandler(logging.Handler):
    """Updates the bar from the log line of each date, and shows the log lines of its steps."""

    def __init__(self, progress: Progress, title: str) -> None:
        super().__init__()
        self._progress = progress
        self._bar = progress.add_task(title, total=None, step="")

    def emit(self, record: logging.LogRecord) -> None:
        done, total = getattr(record, "done", None), getattr(record, "total", None)
        step = record.getMessage()[:60] if done is None else ""
        self._progress.update(self._bar, completed=done, total=total, step=step)
