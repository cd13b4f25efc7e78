"""The deadline of a nightly run: what is late or missed, and who publishes at the deadline.

A forecast published at the deadline is marked provisional, which is part of its identity. The final forecast
for the same `as_of` replaces it for all readers.
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
from forecasting.selection.challenger import WindowPlan, can_publish, settings_digest
from forecasting.storage import Storage

# Prefect may schedule a run slightly before or after its due time.
_TOLERANCE = timedelta(minutes=1)


def missed_night(panel: Panel, due: datetime, now: datetime) -> tuple[datetime, date | None] | None:
    """Return whether a run that was due at `due` is too late to start, because a later run is due by `now`.

    A late run would make a forecast for a past date from newer prices, and call it live.

    Returns:
        None if the run is not too late. Otherwise the later run's due time, and the date to backfill; the
        date is None if the later run forecasts from the same bars.
    """
    later = panel.last_due(now)
    if later is None or later - due <= _TOLERANCE:
        return None
    own, newest = (panel.calendar.newest_closed(to_instant(when)) for when in (due, later))
    return later, to_datetime(own).date() if own < newest else None


def with_skipped_dates(panel: Panel, storage: Storage, snapshot: Snapshot, due: datetime) -> Snapshot:
    """Return the snapshot, with a finding if dates between the newest forecast and this one have no forecast.

    That happens when a date's bars came after the deadline of its run, or when no run was started.
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
        f"No forecast was published for {name_some(skipped, 3)}, but the bars are in the store now; "
        f"to publish what is missing, run: {backfill_command(panel, days[0], days[-1], storage.uri)}"
    )
    found = Finding.of(SKIPPED, "", len(skipped), detail)
    return replace(snapshot, findings=(*snapshot.findings, found))


def backfill_command(panel: Panel, first: date, last: date, store: str, server: str | None = None) -> str:
    """Return the command that publishes the missing forecasts from `first` to `last`, both included.

    `store` and `server` are as in `forecasting.commands.command`.
    """
    dates = ("--start", str(first), "--end", str(last))
    return command("backfill", panel, *dates, store=store, server=server)


def deadline_of(panel: Panel, due: datetime) -> datetime | None:
    """Return when the run due at `due` must have published; None if the panel sets no deadline."""
    minutes = panel.schedule.deadline_minutes
    return due + timedelta(minutes=minutes) if minutes else None


def missing_bar(panel: Panel, as_of: str, due: datetime) -> str | None:
    """Return the newest bar that had closed at `due`, as a label, if `as_of` is older; otherwise None.

    A missing bar means that the source is late, or that the calendar lacks one of the market's holidays.
    """
    newest = panel.calendar.newest_closed(to_instant(due))
    return panel.label(newest) if newest > panel.instant(as_of) else None


def has_final(panel: Panel, storage: Storage, as_of: str) -> bool:
    """Whether a final forecast for `as_of` is published."""
    found = find_published(storage, as_of_folder(panel.name, as_of))
    return any(published.is_final for _, published in found)


def can_do_without_source(panel: Panel, storage: Storage, due: datetime) -> bool:
    """Whether the prices in the store allow a forecast that is not published yet."""
    try:
        return not has_final(panel, storage, newest_as_of(panel, storage, due))
    except (AuditError, StoreError):  # no prices, or none that can be read
        return False


def without_late_source(
    panel: Panel, storage: Storage, snapshot: Snapshot, due: datetime, deadline: datetime
) -> Snapshot:
    """Return the snapshot, marked provisional if the source was late.

    A snapshot whose `as_of` has a final forecast already stays unmarked: there is nothing to replace.
    """
    missing = missing_bar(panel, snapshot.as_of, due)
    if missing is None or has_final(panel, storage, snapshot.as_of):
        return snapshot
    return _provisional(snapshot, f"the source had no bar of {missing} by the deadline, {clock(deadline)}")


def without_late_training(snapshot: Snapshot, deadline: datetime) -> Snapshot:
    """Return the snapshot, marked provisional because the training was late."""
    return _provisional(snapshot, f"the training had not finished by the deadline, {clock(deadline)}")


def stand_in(panel: Panel, storage: Storage, snapshot: Snapshot, plan: WindowPlan) -> Decision | None:
    """Return who publishes at the deadline while the training goes on.

    Returns:
        The standing decision, or one for the EWMA walk if there is no usable champion. None if a final
        forecast for this `as_of` is published already, or if the panel's preset has no gate: then no other
        model may publish in place of the network.
    """
    if has_final(panel, storage, snapshot.as_of):
        return None
    registry, standing = (
        Registry(storage, panel.name),
        DecisionLog(storage, panel.name).standing(snapshot.as_of),
    )
    if (
        standing is not None
        and standing.settings == settings_digest(panel)
        and can_publish(panel, registry, standing)
    ):
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
        reason=f"{EwmaWalk.name} publishes, because the panel has no usable model until the training ends.",
        verdict=None,
        trained_for=snapshot.as_of,
        next_step="When the training ends, its forecast is published for the same as_of.",
    )


def _provisional(snapshot: Snapshot, reason: str) -> Snapshot:
    reasons = [snapshot.provisional, reason] if snapshot.provisional else [reason]
    return replace(snapshot, provisional="; ".join(reasons))


def clock(when: datetime) -> str:
    """Format an instant in UTC, to the minute."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
