"""Retention of models: which trained versions nothing names any more, and their removal.

A version is named by every committed forecast that it made or was judged for, and by every decision that a
run may still rest on: those made since the oldest forecast there is, the one that stood then, and the one
that a rollback leads back to. Decisions themselves are kept: they are small, and the record of who published.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from forecasting.models.registry import METADATA, ModelMetadata, Registry
from forecasting.operations.forecast_retention import AT_WORK, Removal
from forecasting.panel import Panel
from forecasting.publishing.address import forecasts_folder
from forecasting.publishing.decisions import Decision, DecisionLog
from forecasting.publishing.manifest import Manifest
from forecasting.publishing.publish import find_manifests, find_published
from forecasting.records import instant_of
from forecasting.selection.promotion import rollback_target
from forecasting.storage import Storage


def removable_versions(
    panel: Panel, storage: Storage, now: datetime, without: Iterable[Removal] = ()
) -> list[Removal]:
    """The versions that may go, by name; forecasts in `without` no longer name any.

    Raises:
        ModelError: a decision is damaged, so that nobody knows which versions it names.
    """
    gone = {removal.folder for removal in without}
    forecasts = forecasts_folder(panel.name)
    kept = [one for folder, one in find_published(storage, forecasts) if folder.rstrip("/") not in gone]
    oldest = min((published.as_of for published in kept), default="")
    judged = [one for folder, one in find_manifests(storage, forecasts) if folder.rstrip("/") not in gone]
    registry = Registry(storage, panel.name)
    # Read after the manifests: a run records its own decision before it publishes.
    decisions = DecisionLog(storage, panel.name).all()
    named = {one.model_version for one in kept} | {name for one in judged for name in _named_by_manifest(one)}
    named |= _named_by_decisions(decisions, oldest, now)
    found = []
    for version in registry.versions():
        folder = registry.folder(version)
        if version not in named and (why := _why(panel, storage, folder, now)):
            found.append(Removal("unused model", folder, why))
    return found


def remove_version(panel: Panel, storage: Storage, removal: Removal, now: datetime) -> bool:
    """Remove a version; False, and nothing is removed, where a decision made just now names it.

    Raises:
        ModelError: a decision is damaged.
    """
    registry = Registry(storage, panel.name)
    recent = _recent(DecisionLog(storage, panel.name).all(), now)
    if removal.folder in {registry.folder(name) for one in recent for name in _rests_on(one)}:
        return False
    commits = f"{removal.folder}/{METADATA}"
    storage.delete([commits])
    storage.delete([path for path in storage.list(removal.folder) if path != commits])
    return True


def _named_by_manifest(manifest: Manifest) -> set[str]:
    """The versions that a forecast was decided by."""
    decision = manifest.decision
    if decision is None:
        return set()
    judged = decision.verdict.versions.values() if decision.verdict else ()
    return {decision.version, decision.best, decision.challenger, *judged}


def _named_by_decisions(decisions: Sequence[Decision], oldest: str, now: datetime) -> set[str]:
    """What those name that may still count for a run: for an `as_of` from `oldest` on, or a rollback."""
    before = [one for one in decisions if one.as_of <= oldest]
    since = [one for one in decisions if one.as_of > oldest]
    back = rollback_target(decisions)
    counting = [*before[-1:], *since, *decisions[-1:], *_recent(decisions, now), *([back] if back else [])]
    return {name for one in counting for name in _rests_on(one)}


def _recent(decisions: Sequence[Decision], now: datetime) -> list[Decision]:
    """Those made so lately that the run, or the person, may be at work on them."""
    return [one for one in decisions if datetime.fromisoformat(one.decided_at) >= now - AT_WORK]


def _rests_on(decision: Decision) -> tuple[str, str]:
    """The versions that a run by this decision loads: who publishes, and the best on record."""
    return decision.version, decision.best


def _why(panel: Panel, storage: Storage, folder: str, now: datetime) -> str | None:
    """Why a version that nothing names may go; None while it is too young, or still being trained."""
    written = max(storage.list_times(folder).values(), default=now)
    if written >= now - AT_WORK:
        return None
    data = storage.find(f"{folder}/{METADATA}")
    if data is None:
        return f"last written {written:%Y-%m-%d}, never finished"
    trained = _trained_at(data) or written
    if trained >= now - timedelta(days=panel.retention.model_days):
        return None
    return f"trained {trained:%Y-%m-%d}, named by no forecast that is kept and no decision that counts"


def _trained_at(metadata: bytes) -> datetime | None:
    """When a version was trained; None where its metadata is damaged."""
    try:
        return instant_of(ModelMetadata.from_json(metadata).trained_at)
    except ValueError:
        return None
