"""Freshness: whether a panel's newest forecast is the one that its schedule and its calendar ask for by now.

It takes the store and the panels' files, and no server: what has died cannot report it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Self

import numpy as np
import pandas as pd
from obstore.exceptions import BaseError

from forecasting.as_of import parse_as_of, to_instant
from forecasting.commands import command
from forecasting.errors import NightcastError, PanelError, StaleError, StoreError, first_line
from forecasting.models.baselines import BASELINES
from forecasting.operations.run_record import RunRecord, read_run_record
from forecasting.panel import Panel
from forecasting.prices.sources.uris import shown
from forecasting.publishing.address import MANIFEST
from forecasting.publishing.manifest import Published
from forecasting.publishing.publish import find_pointer
from forecasting.records import instant_of
from forecasting.storage import Storage

State = Literal["fresh", "stale", "failed", "never", "unreadable"]

# What a run takes besides training: a slow source with its retries, the forecast and the charts.
_GRACE = timedelta(minutes=30)
# By how much the newest bar of a source may lag though it has closed, where bars are short; else by one bar.
_SOURCE_LAG = timedelta(hours=1)

_UNKNOWN = "\N{EN DASH}"


@dataclass(frozen=True)
class Freshness:
    """How fresh a panel's newest forecast is.

    Attributes:
        panel: the panel's name.
        state: `fresh`; `stale`, older than it should be; `failed`, as the newest run that was due did;
            `never`, nothing is published; `unreadable`, what is published or the store cannot be read.
        reason: one line why, and what to do; empty where it is fresh.
        as_of: the forecast's; behind: how many bars it lacks of the one that is due by now.
        published_at: when it was published; age: how long ago that is.
        model: who made it.
        notes: what is worth knowing though it is no fault.
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
        """The panel, its state and why, in one line."""
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
        StaleError: one is not; the line tells of all that are not.
    """
    lines = [one.line for one in found if one.state != "fresh"]
    if lines:
        raise StaleError(f"{len(lines)} of {len(found)} panels not fresh: {'; '.join(lines)}")


def assess_all(
    folder: str | None, storage: Storage, now: datetime, max_age: timedelta | None = None
) -> list[Freshness]:
    """The freshness of each panel in a folder, as for `Panel.load_all`; a bad panel file is unreadable.

    Raises:
        PanelError: the folder has no panel files.
    """
    found = []
    for name in Panel.names(folder):
        try:
            found.append(_assess_or_fail(Panel.load_named(name, folder), storage, now, max_age))
        except (PanelError, OSError) as error:
            found.append(Freshness(name, "unreadable", first_line(error)))
    return found


def _assess_or_fail(panel: Panel, storage: Storage, now: datetime, max_age: timedelta | None) -> Freshness:
    try:
        return assess(panel, storage, now, max_age)
    except NightcastError as error:
        return Freshness(panel.name, "unreadable", str(error))
    except (BaseError, OSError) as error:
        reason = first_line(error) or type(error).__name__
        return Freshness(panel.name, "unreadable", f"the store {storage.uri} does not answer: {reason}")
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one panel must not hide the others
        reason = f"{type(error).__name__}: {first_line(error)}"
        return Freshness(panel.name, "unreadable", f"its freshness cannot be assessed: {reason}")


def assess(panel: Panel, storage: Storage, now: datetime, max_age: timedelta | None = None) -> Freshness:
    """How fresh the newest forecast of `panel` is at `now`; one older than `max_age` is stale in any case.

    A run counts once it was due and had the time that a run may take: until the panel's deadline or, without
    one, for its training's limit, and half an hour more. It was to know the newest bar closed when due. Where
    a run ended well since then, the source may be a bar late, or an hour of short ones. Once a later run than
    a failed one was due, nobody starts them any more: that is stale, and the failure a note.

    Raises:
        StoreError: what is published, or the record of the last run, is damaged.
        PanelError: the calendar does not know that time.
    """
    record, latest = read_run_record(storage, panel.name), _Latest.read(panel, storage)
    if latest is None:
        return Freshness(panel.name, "never", _why_never(panel, storage, record))
    due, age = panel.last_due(now - _longest_run(panel)), now - latest.published_at
    behind = _bars_behind(panel, latest.as_of, due)
    is_newest = record is not None and (not due or instant_of(record.due_at) >= due)
    failure = _failure(record, latest)
    has_run = is_newest and record is not None and record.outcome != "failed"
    state: State = "fresh"
    reason, notes = "", latest.notes if is_newest or not failure else (*latest.notes, f"failed: {failure}")
    if failure and is_newest:
        state, reason = "failed", failure
    elif behind > (_lag_bars(panel) if has_run else 0):
        state, reason = "stale", _why_stale(panel, storage, latest.as_of, behind, has_run=has_run)
    elif max_age is not None and age > max_age:
        state, reason = "stale", f"its forecast is {format_age(age)} old, as of {latest.as_of}; is a run due?"
    elif behind:
        notes = (*notes, f"its source is {_bars(behind)} late")
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


def freshness_rows(found: Sequence[Freshness]) -> list[dict[str, str]]:
    """A row a panel, for a table; times are UTC, and what is not known is a dash."""
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


def format_age(age: timedelta) -> str:
    """The two largest units of an age: `3 d 4 h`, `4 h 5 min`, `5 min`."""
    minutes = max(int(age.total_seconds()) // 60, 0)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


@dataclass(frozen=True)
class _Latest:
    """What the pointer shows; the attributes are those of `Freshness`."""

    as_of: str
    published_at: datetime
    model: str
    notes: tuple[str, ...]

    @classmethod
    def read(cls, panel: Panel, storage: Storage) -> Self | None:
        pointer = find_pointer(storage, panel.name)
        if pointer is None:
            return None
        path = pointer.address.path(MANIFEST)
        try:
            published = Published.from_json(storage.find(path) or b"")
        except ValueError as error:
            again = command("run", panel, "--as-of", pointer.as_of, store=storage.uri)
            raise StoreError(
                f"{path} in {storage.uri}, which commits the newest forecast, is missing or damaged; "
                f"run: {again}"
            ) from error
        return cls(pointer.as_of, instant_of(pointer.published_at), published.model, _notes(published))


def _notes(published: Published) -> tuple[str, ...]:
    notes = []
    if published.model in BASELINES:
        notes.append("a baseline stands in")
    if published.provisional:
        notes.append(f"provisional: {published.provisional}")
    return tuple(notes)


def _longest_run(panel: Panel) -> timedelta:
    return _GRACE + timedelta(minutes=panel.schedule.deadline_minutes or panel.retrain.time_limit_minutes)


def _lag_bars(panel: Panel) -> int:
    return max(int(_SOURCE_LAG / pd.Timedelta(panel.bars.step)), 1)


def _bars_behind(panel: Panel, as_of: str, due: datetime | None) -> int:
    """How many bars the forecast lacks that had closed when the run was due."""
    if due is None:
        return 0
    calendar, known = panel.calendar, parse_as_of(as_of, panel.bars.freq)
    known_position, due_position = calendar.position(
        np.array([known, calendar.newest_closed(to_instant(due))])
    )
    return max(int(due_position - known_position), 0)


def _bars(count: int) -> str:
    return f"{count} bar{'s' * (count != 1)}"


def _why_never(panel: Panel, storage: Storage, record: RunRecord | None) -> str:
    if record is not None and record.outcome == "failed":
        return _why_failed(record)
    return f"nothing was ever published; run: {command('run', panel, store=storage.uri)}"


def _why_failed(record: RunRecord) -> str:
    return f"the run due {instant_of(record.due_at):%Y-%m-%d %H:%M} UTC: {record.message}"


def _failure(record: RunRecord | None, latest: _Latest) -> str | None:
    """Why the last run failed, unless something was published since."""
    if record is None or record.outcome != "failed" or instant_of(record.ended_at) <= latest.published_at:
        return None
    return _why_failed(record)


def _why_stale(panel: Panel, storage: Storage, as_of: str, behind: int, *, has_run: bool) -> str:
    lacking = f"its forecast is as of {as_of}, {_bars(behind)} behind"
    if has_run:
        return f"{lacking}, though its runs end well: does {shown(panel.source.uri)} still grow?"
    by_hand = command("run", panel, store=storage.uri)
    return f"{lacking}, and no run has succeeded since: is nightcast serve or a worker up? By hand: {by_hand}"
