"""Deadline: wait for a late source or training until the deadline, and skip runs that are overtaken."""

import logging
import time
from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.futures import PrefectFuture
from prefect.runtime import deployment

from forecasting.operations import deadline as rules
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot, newest_as_of
from forecasting.publishing.decisions import Decision
from forecasting.selection.challenger import WindowPlan
from forecasting.storage import Storage
from tasks.options import STEP

_log = logging.getLogger(__name__)

_ASK_AGAIN_SECONDS = 3 * 60.0


@task(name="look for the newest bar", **STEP)
def find_missing_bar(panel: Panel, store: str, due: datetime) -> str | None:
    """The newest bar that the source should have by now, as an `as_of`; None if it is there."""
    return rules.missing_bar(panel, newest_as_of(panel, Storage(store), due), due)


@task(name="check stored prices", **STEP)
def can_do_without_source(panel: Panel, store: str, due: datetime) -> bool:
    """Whether the stored prices make a forecast that is not published yet."""
    return rules.can_do_without_source(panel, Storage(store), due)


@task(name="mark what is provisional", **STEP)
def mark_late_source(
    panel: Panel, store: str, snapshot: Snapshot, due: datetime, deadline: datetime
) -> Snapshot:
    """The snapshot, marked provisional if the source is late and the `as_of` has no final forecast yet."""
    marked = rules.without_late_source(panel, Storage(store), snapshot, due, deadline)
    if marked.provisional:
        _log.warning("deadline: the forecast is provisional: %s", marked.provisional)
    return marked


@task(name="look for skipped dates", **STEP)
def note_skipped_dates(panel: Panel, store: str, snapshot: Snapshot, due: datetime) -> Snapshot:
    """The snapshot, with a finding that names earlier dates that were due and have no forecast."""
    noted = rules.with_skipped_dates(panel, Storage(store), snapshot, due)
    for finding in noted.findings[len(snapshot.findings) :]:
        _log.warning("audit: %s %s", finding.code, finding.detail)
    return noted


@task(name="choose a stand-in", **STEP)
def choose_stand_in(panel: Panel, store: str, snapshot: Snapshot, windows: WindowPlan) -> Decision | None:
    """Choose who publishes while the training goes on; None if no stand-in is needed or allowed."""
    found = rules.stand_in(panel, Storage(store), snapshot, windows)
    if found is None:
        _log.warning("deadline: passed before the training was done; there is no stand-in")
    else:
        _log.warning("deadline: passed before the training was done; the stand-in %s publishes", found.model)
    return found


def explain_missed_night(panel: Panel, store: str, due: datetime) -> str | None:
    """Explain why this scheduled run must be skipped, and what to run instead; None if it must not.

    After an outage, workers find all runs that were due during it. Runs started by hand are never skipped.
    """
    found = rules.missed_night(panel, due, datetime.now(UTC)) if deployment.id else None
    if found is None:
        return None
    later, day = found
    command = rules.backfill_command(panel, day, day, store) if day else None
    fix = f"to fill it, run: {command}" if command else "it has the same bars"
    message = f"missed: due {rules.clock(due)}, and a later run was due {rules.clock(later)}; {fix}"
    _log.warning("deadline: %s", message)
    return message


def wait_to_ask_again(deadline: datetime, why: str) -> bool:
    """Wait a few minutes before asking the source again; return False at once if the deadline has passed."""
    left = _seconds_to(deadline)
    if left <= 0:
        _log.warning("source: %s, and the deadline has passed", why)
        return False
    pause = min(_ASK_AGAIN_SECONDS, left)
    _log.info("source: %s; asking again in %.0f s, until %s", why, pause, f"{deadline:%H:%M} UTC")
    time.sleep(pause)
    return True


def is_done_by(deadline: datetime, work: PrefectFuture[Any]) -> bool:
    """Wait for `work` until the deadline; return whether it has ended, successfully or not."""
    work.wait(timeout=max(0.0, _seconds_to(deadline)))
    return work.state.is_final()


def _seconds_to(deadline: datetime) -> float:
    return (deadline - datetime.now(UTC)).total_seconds()
