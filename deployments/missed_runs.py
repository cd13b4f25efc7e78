"""Missed runs: what to do about due times that passed while nothing served them. Does not use Prefect.

Only the newest due time runs. Runs for older ones would use prices that arrived later. A backfill fills those
dates from the prices known then.
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
    """How far a run has got."""

    WAITING = auto()  # never started
    ALIVE = auto()  # is running
    OVER = auto()  # ended by itself, with or without success, or was cancelled by a person
    LOST = auto()  # its process ended before it did


@dataclass(frozen=True)
class Run:
    """A run that a schedule or a catch-up has made."""

    id: str
    due: datetime
    stage: Stage


@dataclass(frozen=True)
class Plan:
    """What to do about missed runs.

    Attributes:
        create: the due time to create a run for; None if it has a run, or nothing is due.
        cancel: the ids of the waiting runs that must not start.
        skipped: the due times without a run, now and later, oldest first.
        newest: the newest due time; None if nothing was due.
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
    """Plan what to do about a panel's nightly runs that are due by `now`.

    Args:
        due_times: returns the due times after one instant, up to another.
        deployed: when the deployment was created. Nothing was due before.
        now: the present. Waiting runs that are due later are left alone.
        runs: the deployment's scheduled runs. Runs older than the newest started one may be absent.
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
    """Plan what to do about runs that depend only on the present: only the newest waiting one runs."""
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
    """The `as_of` of a run due at `due`, if its source was complete."""
    return panel.calendar.newest_closed(to_instant(due))


def _due(run: Run) -> datetime:
    return run.due
