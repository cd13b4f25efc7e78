"""Deadline: by when a night must have published something, what is late or missed, and who stands in.

What is published early is marked provisional, which is part of its identity; the final forecast for the same
`as_of` takes its place wherever readers look.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np

from forecasting import __version__
from forecasting.as_of import to_datetime, to_instant
from forecasting.commands import command
from forecasting.errors import AuditError, StoreError
from forecasting.findings import Finding, name_some
from forecasting.models.baselines import EwmaWalk
from forecasting.models.presets import preset_of
from forecasting.models.registry import Registry
from forecasting.operations.missing import find_missing
from forecasting.panel import Panel
from forecasting.prices.audit.rules import SKIPPED
from forecasting.prices.snapshot import Snapshot, newest_as_of
from forecasting.publishing.address import as_of_folder
from forecasting.publishing.decisions import Decision, DecisionLog
from forecasting.publishing.publish import find_published, latest_manifest
from forecasting.selection.challenger import WindowPlan, settings_digest
from forecasting.storage import Storage

# Prefect may schedule a run a little beside its due time.
_ABOUT = timedelta(minutes=1)


def missed_night(panel: Panel, due: datetime, now: datetime) -> tuple[datetime, date | None] | None:
    """Whether the run that was due at `due` is too late to start at `now`, as a later one was due since.

    It would make a forecast for the past from prices that were taken later, and call it live. That later due
    time, and the date for a backfill, which is None where the later run is for the same bars; None where the
    run is not too late.
    """
    later = panel.last_due(now)
    if later is None or later - due <= _ABOUT:
        return None
    own, newest = (panel.calendar.newest_closed(to_instant(when)) for when in (due, later))
    return later, to_datetime(own).date() if own < newest else None


def with_skipped_dates(panel: Panel, storage: Storage, snapshot: Snapshot, due: datetime) -> Snapshot:
    """The snapshot, with a finding where nights since the newest forecast left a bar without its own.

    The bar came after the deadline of its night, or nobody ran that.
    """
    before = latest_manifest(storage, panel.name)
    newest, as_of = before.as_of if before else snapshot.as_of, snapshot.as_of
    ends = [panel.instant(label) for label in (newest, as_of)]
    if np.diff(panel.calendar.position(np.array(ends)))[0] <= 1:
        return snapshot
    first, last = (to_datetime(end).date() for end in ends)
    missing = find_missing(panel, storage, first, last, due).as_ofs
    skipped = [label for label in missing if newest < label < as_of]
    if not skipped:
        return snapshot
    days = [to_datetime(panel.instant(label)).date() for label in skipped]
    detail = (
        f"No forecast was published for {name_some(skipped, 3)}, whose bars are here now; "
        f"to fill that, run: {backfill_command(panel, days[0], days[-1], storage.uri)}"
    )
    found = Finding.of(SKIPPED, "", len(skipped), detail)
    return replace(snapshot, findings=(*snapshot.findings, found))


def backfill_command(panel: Panel, first: date, last: date, store: str, server: str | None = None) -> str:
    """The command that publishes what is missing from `first` to `last`, both included.

    `store` and `server` are those of `forecasting.commands.command`.
    """
    dates = ("--start", str(first), "--end", str(last))
    return command("backfill", panel, *dates, store=store, server=server)


def deadline_of(panel: Panel, due: datetime) -> datetime | None:
    """When the run that was due at `due` must have published; None where the panel sets no deadline."""
    minutes = panel.schedule.deadline_minutes
    return due + timedelta(minutes=minutes) if minutes else None


def missing_bar(panel: Panel, as_of: str, due: datetime) -> str | None:
    """The newest bar that was closed at `due`, as an `as_of`; None where `as_of` has it.

    The source is late then. A calendar without the market's holidays names a bar that never comes.
    """
    newest = panel.calendar.newest_closed(to_instant(due))
    return panel.label(newest) if newest > panel.instant(as_of) else None


def has_final(panel: Panel, storage: Storage, as_of: str) -> bool:
    """Whether a forecast for `as_of` is published that is not provisional."""
    found = find_published(storage, as_of_folder(panel.name, as_of))
    return any(published.is_final for _, published in found)


def can_do_without_source(panel: Panel, storage: Storage, due: datetime) -> bool:
    """Whether the prices in the store are good for a forecast that is not published yet."""
    try:
        return not has_final(panel, storage, newest_as_of(panel, storage, due))
    except (AuditError, StoreError):  # no prices, or none that can be read
        return False


def without_late_source(
    panel: Panel, storage: Storage, snapshot: Snapshot, due: datetime, deadline: datetime
) -> Snapshot:
    """The snapshot, provisional where the source was late, unless its `as_of` has a final forecast already.

    With one, as on most nights with a late source, there is nothing to stand in for.
    """
    missing = missing_bar(panel, snapshot.as_of, due)
    if missing is None or has_final(panel, storage, snapshot.as_of):
        return snapshot
    return _marked(snapshot, f"the source had no bar of {missing} by the deadline, {clock(deadline)}")


def without_late_training(snapshot: Snapshot, deadline: datetime) -> Snapshot:
    """The snapshot, provisional as the training was late."""
    return _marked(snapshot, f"the training was not done by the deadline, {clock(deadline)}")


def stand_in(panel: Panel, storage: Storage, snapshot: Snapshot, plan: WindowPlan) -> Decision | None:
    """Who publishes while the training goes on: the champion, or the EWMA walk where there is none to use.

    None where nobody has to, as a final forecast for this `as_of` is published, or nobody may: nothing stands
    in for the lecture's network.
    """
    if has_final(panel, storage, snapshot.as_of):
        return None
    registry, standing = (
        Registry(storage, panel.name),
        DecisionLog(storage, panel.name).standing(snapshot.as_of),
    )
    has_settings = standing is not None and standing.settings == settings_digest(panel)
    if standing is not None and has_settings and standing.can_publish(registry):
        return standing
    if not preset_of(panel).gated:
        return None
    return Decision(
        as_of=snapshot.as_of,
        decided_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        challenger=plan.version,
        model=EwmaWalk.name,
        version=__version__,
        settings=settings_digest(panel),
        reason=f"{EwmaWalk.name} stands in: the panel has no model yet that could, and the training goes on.",
        verdict=None,
        trained_for=snapshot.as_of,
        next_step="What the training brings is published for the same as_of.",
    )


def _marked(snapshot: Snapshot, reason: str) -> Snapshot:
    reasons = [snapshot.provisional, reason] if snapshot.provisional else [reason]
    return replace(snapshot, provisional="; ".join(reasons))


def clock(when: datetime) -> str:
    """An instant as people read it."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
