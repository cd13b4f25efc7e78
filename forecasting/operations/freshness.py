"""Freshness: whether a panel has the forecast that its schedule and its calendar require by now.

The check reads the store and the panel files. It needs no Prefect server: a dead one could not report itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from forecasting.as_of import to_instant
from forecasting.commands import command
from forecasting.errors import NightcastError, PanelError, StaleError, first_line
from forecasting.formats import format_count
from forecasting.models.baselines import BASELINES
from forecasting.operations.run_record import RunRecord, read_run_record
from forecasting.panel import Panel
from forecasting.prices.sources.uris import shown
from forecasting.publishing.committed import check_shown
from forecasting.publishing.manifest import Published
from forecasting.publishing.publish import find_pointer
from forecasting.records import instant_of
from forecasting.storage import Storage

State = Literal["fresh", "stale", "failed", "never", "unreadable"]

# Time for a run besides training: a slow source with its retries, the forecast and the charts.
_GRACE = timedelta(minutes=30)
# How late a source may deliver a closed bar: this long, but at least one bar.
_SOURCE_LAG = timedelta(hours=1)

_UNKNOWN = "\N{EN DASH}"


@dataclass(frozen=True)
class Freshness:
    """How fresh a panel's newest forecast is.

    Attributes:
        panel: the panel's name.
        state: `fresh`; `stale`: the forecast is older than it should be; `failed`: the newest run that was
            due failed; `never`: nothing is published; `unreadable`: the forecast or the store cannot be read.
        reason: one line that says why and what to do; empty if the panel is fresh.
        as_of: the forecast's `as_of`.
        behind: number of bars that the forecast lacks and that were due by now.
        published_at: when the forecast was published.
        age: time since then.
        model: the model that made the forecast.
        notes: facts worth knowing that are not faults.
    """

    panel: str
    state: State
    reason: str = ""
    as_of: str | None = None
    behind: int | None = None
    published_at: datetime | None = None
    age: timedelta | None = None
    model: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The panel, its state and the reason, in one line."""
        return f"{self.panel} {_VERBS[self.state]}" + (f": {self.reason}" if self.reason else "")


_VERBS = {
    "fresh": "is fresh",
    "stale": "is stale",
    "failed": "failed",
    "never": "has no forecast",
    "unreadable": "cannot be read",
}


def require_fresh(found: Sequence[Freshness]) -> None:
    """Check that every panel is fresh.

    Raises:
        StaleError: at least one panel is not fresh; the message has the line of each.
    """
    lines = [one.line for one in found if one.state != "fresh"]
    if lines:
        verb = "is" if len(lines) == 1 else "are"
        raise StaleError(
            f"{len(lines)} of {format_count(len(found), 'panel')} {verb} not fresh: {'; '.join(lines)}"
        )


def assess_all(
    folder: str | None, storage: Storage, now: datetime, max_age: timedelta | None = None
) -> list[Freshness]:
    """Assess each panel in a folder. A panel whose file cannot be loaded is `unreadable`.

    Args:
        folder: the folder with the panel files, as in `Panel.load_all`.
        storage: the store.
        now: the time of the check, UTC.
        max_age: as in `assess`.

    Raises:
        PanelError: the folder has no panel files.
    """
    found = []
    for name in Panel.names(folder):
        try:
            found.append(_assess_or_fail(Panel.load_named(name, folder), storage, now, max_age))
        except PanelError as error:
            found.append(Freshness(name, "unreadable", first_line(error)))
    return found


def _assess_or_fail(panel: Panel, storage: Storage, now: datetime, max_age: timedelta | None) -> Freshness:
    try:
        return assess(panel, storage, now, max_age)
    except NightcastError as error:
        return Freshness(panel.name, "unreadable", str(error))
    except Exception as error:  # noqa: BLE001 - a fault in one panel must not hide the others
        reason = f"{type(error).__name__}: {first_line(error)}"
        return Freshness(panel.name, "unreadable", f"the check of its freshness failed: {reason}")


def assess(panel: Panel, storage: Storage, now: datetime, max_age: timedelta | None = None) -> Freshness:
    """Assess how fresh the newest forecast of a panel is.

    A run counts once it was due and has had its time: until the panel's deadline (without one, for the limit
    of its training), and half an hour more. Its forecast must then use the newest bar that had closed when
    the run was due. If a run has succeeded since, the source may be one bar late, or one hour with shorter
    bars. If a later run than a failed one was due and left no record, runs are no longer started: the panel
    is `stale`, and the failure is a note.

    Args:
        panel: the panel.
        storage: the store.
        now: the time of the check, UTC.
        max_age: a forecast older than this is stale, whatever the schedule says; None for no limit.

    Raises:
        StoreError: what `latest/` shows is missing or damaged, or the record of the last run is damaged.
        ContractError: the newest forecast breaks the contract.
        PanelError: the calendar does not cover `now`.
    """
    return Evidence.read(panel, storage).assess(now, max_age)


def freshness_rows(found: Sequence[Freshness]) -> list[dict[str, str]]:
    """Return a table with one row for each panel. Times are UTC; unknown values are a dash."""
    return [
        {
            "panel": one.panel,
            "state": one.state,
            "as of": one.as_of or _UNKNOWN,
            "bars behind": _UNKNOWN if one.behind is None else str(one.behind),
            "published at": f"{one.published_at:%Y-%m-%d %H:%M}" if one.published_at else _UNKNOWN,
            "age": format_age(one.age) if one.age is not None else _UNKNOWN,
            "by": one.model or _UNKNOWN,
            "detail": "; ".join(filter(None, (one.reason, *one.notes))),
        }
        for one in found
    ]


def freshness_record(found: Sequence[Freshness], now: datetime) -> dict[str, Any]:
    """Return what was found as JSON types, for machines. `docs/contract.md` documents the keys.

    Args:
        found: the panels.
        now: the time of the check, UTC.
    """
    return {
        "checked_at": now.isoformat(),
        "fresh": all(one.state == "fresh" for one in found),
        "panels": [
            {
                "panel": one.panel,
                "state": one.state,
                "reason": one.reason,
                "as_of": one.as_of,
                "bars_behind": one.behind,
                "published_at": one.published_at.isoformat() if one.published_at else None,
                "age_seconds": int(one.age.total_seconds()) if one.age is not None else None,
                "model": one.model,
                "notes": list(one.notes),
            }
            for one in found
        ],
    }


def format_age(age: timedelta) -> str:
    """Format an age in its two largest units: `3 d 4 h`, `4 h 5 min`, `5 min`."""
    minutes = max(int(age.total_seconds()) // 60, 0)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


@dataclass(frozen=True)
class LatestForecast:
    """The forecast that the pointer names; attributes as in `Freshness`."""

    as_of: str
    published_at: datetime
    model: str
    notes: tuple[str, ...]

    @classmethod
    def read(cls, panel: Panel, storage: Storage) -> Self | None:
        """Read it; None if nothing is published.

        Raises:
            StoreError: the pointer or the manifest is damaged.
        """
        pointer = find_pointer(storage, panel)
        if pointer is None:
            return None
        published = check_shown(panel, storage, pointer)
        return cls(pointer.as_of, instant_of(pointer.published_at), published.model, _notes(published))


@dataclass(frozen=True)
class Evidence:
    """What the store says about a panel's newest forecast: its freshness at any time follows from it.

    Attributes:
        panel: the panel.
        store: the store's URI, for the commands in messages.
        record: how the last run ended; None if no run has ended yet.
        latest: the newest forecast; None if there is none.
    """

    panel: Panel
    store: str
    record: RunRecord | None
    latest: LatestForecast | None

    @classmethod
    def read(cls, panel: Panel, storage: Storage) -> Self:
        """Read the evidence.

        Raises:
            StoreError: the newest forecast, or the record of the last run, is damaged.
        """
        record = read_run_record(storage, panel.name)
        return cls(panel, storage.uri, record, LatestForecast.read(panel, storage))

    def assess(self, now: datetime, max_age: timedelta | None = None) -> Freshness:
        """Return how fresh the forecast is at `now` (UTC), by the rules of `freshness.assess`.

        Raises:
            PanelError: the calendar does not cover `now`.
        """
        panel, record, latest = self.panel, self.record, self.latest
        if latest is None:
            return Freshness(panel.name, "never", _why_never(panel, self.store, record))
        due, age = panel.last_due(now - longest_run(panel)), now - latest.published_at
        behind = _bars_behind(panel, latest.as_of, due)
        is_newest = record is not None and (not due or instant_of(record.due_at) >= due)
        failure = _failure(record, latest)
        has_run = is_newest and record is not None and record.outcome != "failed"
        state: State = "fresh"
        reason, notes = "", latest.notes if is_newest or not failure else (*latest.notes, failure)
        if failure and is_newest:
            state, reason = "failed", failure
        elif behind > (_lag_bars(panel) if has_run else 0):
            state, reason = "stale", _why_stale(panel, self.store, latest.as_of, behind, has_run=has_run)
        elif max_age is not None and age > max_age:
            older = f"is {format_age(age)} old, more than {format_age(max_age)}"
            state, reason = "stale", f"its forecast, as of {latest.as_of}, {older}"
        elif behind:
            notes = (*notes, f"its source is {format_count(behind, 'bar')} late")
        return Freshness(
            panel=panel.name,
            state=state,
            reason=reason,
            as_of=latest.as_of,
            behind=behind,
            published_at=latest.published_at,
            age=age,
            model=latest.model,
            notes=notes,
        )


def _notes(published: Published) -> tuple[str, ...]:
    notes = []
    if published.model in BASELINES:
        notes.append("a baseline publishes instead of a model")
    if published.provisional:
        notes.append(f"provisional: {published.provisional}")
    return tuple(notes)


def longest_run(panel: Panel) -> timedelta:
    """Return how long after it was due a run may take until its forecast counts as missing."""
    return _GRACE + timedelta(minutes=panel.schedule.deadline_minutes or panel.retrain.time_limit_minutes)


def _lag_bars(panel: Panel) -> int:
    return max(int(_SOURCE_LAG / pd.Timedelta(panel.bars.step)), 1)


def _bars_behind(panel: Panel, as_of: str, due: datetime | None) -> int:
    """Number of bars that had closed when the run was due, and that the forecast lacks."""
    if due is None:
        return 0
    calendar, known = panel.calendar, panel.instant(as_of)
    known_position, due_position = calendar.position(
        np.array([known, calendar.newest_closed(to_instant(due))])
    )
    return max(int(due_position - known_position), 0)


def _why_never(panel: Panel, store: str, record: RunRecord | None) -> str:
    if record is not None and record.outcome == "failed":
        return _why_failed(record)
    return f"nothing is published yet; run: {command('run', panel, store=store)}"


def _why_failed(record: RunRecord) -> str:
    return f"the run due at {instant_of(record.due_at):%Y-%m-%d %H:%M} UTC ended with: {record.message}"


def _failure(record: RunRecord | None, latest: LatestForecast) -> str | None:
    """Why the last run failed; None if it did not, or if a forecast was published since."""
    if record is None or record.outcome != "failed" or instant_of(record.ended_at) <= latest.published_at:
        return None
    return _why_failed(record)


def _why_stale(panel: Panel, store: str, as_of: str, behind: int, *, has_run: bool) -> str:
    lacking = f"its forecast is as of {as_of}, {format_count(behind, 'bar')} behind"
    if has_run:
        return f"{lacking}, although its runs succeed: does {shown(panel.source.uri)} get new prices?"
    by_hand = command("run", panel, store=store)
    return (
        f"{lacking}, and no run has succeeded since; check that nightcast serve or a worker is running, "
        f"or run: {by_hand}"
    )
