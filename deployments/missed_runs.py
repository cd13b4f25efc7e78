"""Missed runs: which due times passed while nothing served them, and what becomes of them. Knows no Prefect.

The newest due time runs; the ones before it do not, since they would run one after another on prices that
have moved on. A backfill fills them, with the prices of then.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

import numpy as np

from forecasting.as_of import to_datetime, to_instant
from forecasting.operations.deadline import backfill_command
from forecasting.panel import Panel


class Stage(Enum):
    """How far a run has come."""

    WAITING = auto()  # never started
    ALIVE = auto()  # it is running
    OVER = auto()  # it came to an end of its own, good or bad, or someone cancelled it
    LOST = auto()  # it was stopped half-way by the end of its process


@dataclass(frozen=True)
class Run:
    """A run that a schedule has made, or that made up for one: its id and when it was due."""

    id: str
    due: datetime
    stage: Stage


@dataclass(frozen=True)
class Plan:
    """What to do about missed runs.

    Attributes:
        create: the due time for which a run has to be made; None where there is one, or none is due.
        cancel: ids of the waiting runs that must not start.
        skipped: the due times that nothing has run for, nor will, oldest first.
        newest: the due time up to which all is settled then; None where nothing was due.
    """

    create: datetime | None = None
    cancel: tuple[str, ...] = ()
    skipped: tuple[datetime, ...] = ()
    newest: datetime | None = None


def plan_nightly(
    due_times: Callable[[datetime, datetime], Iterable[datetime]],
    deployed: datetime,
    now: datetime,
    runs: Sequence[Run],
) -> Plan:
    """What becomes of a panel's nightly runs that are due by `now`.

    Args:
        due_times: the due times after one instant, up to another.
        deployed: when the deployment was made: before, nothing was due.
        now: waiting runs due later are left alone.
        runs: the deployment's runs by schedule. Older than the newest one that started, they may lack.
    """
    due_runs = [run for run in runs if run.due <= now]
    started = [run.due for run in due_runs if run.stage in (Stage.ALIVE, Stage.OVER)]
    waiting = [run for run in due_runs if run.stage is Stage.WAITING]
    since = max(started, default=deployed)
    due = sorted({*due_times(since, now), *(run.due for run in waiting if run.due > since)})
    if not due:
        return Plan(cancel=tuple(run.id for run in waiting), newest=max(started, default=None))

    newest = due[-1]
    kept = next((run for run in waiting if run.due == newest), None)
    return Plan(
        create=newest if kept is None else None,
        cancel=tuple(run.id for run in waiting if run is not kept),
        skipped=tuple(due[:-1]),
        newest=newest,
    )


def plan_others(now: datetime, runs: Sequence[Run]) -> Plan:
    """What becomes of runs that look only at the present: the newest waiting one runs."""
    waiting = sorted((run for run in runs if run.stage is Stage.WAITING and run.due <= now), key=_due)
    return Plan(cancel=tuple(run.id for run in waiting[:-1]))


def fill_command(panel: Panel, plan: Plan, store: str, server: str | None = None) -> str | None:
    """The command that publishes what `plan` skips; None if the run that is kept has the same `as_of`.

    Args:
        panel: the panel whose runs were missed.
        plan: the result of `plan_nightly`.
        store: the store's URI.
        server: the API address of the Prefect server if other shells do not know it.
    """
    kept = _as_of(panel, plan.newest) if plan.newest else None
    lost = [as_of for as_of in (_as_of(panel, due) for due in plan.skipped) if as_of != kept]
    if not lost:
        return None
    start, end = (to_datetime(as_of).date() for as_of in (lost[0], lost[-1]))
    return backfill_command(panel, start, end, store, server)


def _as_of(panel: Panel, due: datetime) -> np.datetime64:
    """What a run due then would have been for, had its source been complete."""
    return panel.calendar.newest_closed(to_instant(due))


def _due(run: Run) -> datetime:
    return run.due
