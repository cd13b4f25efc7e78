"""Compact prices: merge the many small files that nightly appends leave in the panel's tables."""

import logging
from typing import Any

from prefect import Task, task
from prefect.client.schemas.objects import State, TaskRun

from forecasting.panel import Panel
from forecasting.prices.compaction import compact
from forecasting.storage import Storage
from tasks.options import STEP

_log = logging.getLogger(__name__)


def _warn(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> None:
    _log.warning("compaction: failed, to be tried again after the next ingest: %s", state.message)


@task(name="compact prices", on_failure=[_warn], **STEP)
def compact_prices(panel: Panel, store: str) -> None:
    """Merge the files of fragmented tables. Reads stay the same, so a run can go on without it."""
    for done in compact(Storage(store), panel.name):
        _log.info("compaction: %s, from %d files to %d", done.table, done.files_before, done.files_after)
