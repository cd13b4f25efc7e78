"""Retention of models: find and remove the trained versions that are no longer used.

A version is in use while a committed forecast was made by it or tested it at the gate, or while a decision
that a run may load names it. Those decisions are: all made since the oldest forecast in the store, the one
that stood at that time, and the one that a rollback restores. Decisions are never removed: they are small,
and they record who published.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from forecasting.models.registry import METADATA, ModelMetadata, Registry
from forecasting.operations.forecast_retention import AT_WORK, Removal
from forecasting.panel import Panel
from forecasting.publishing.address import forecasts_folder
from forecasting.publishing.decisions import Decision, DecisionLog
from forecasting.publishing.manifest import Manifest
from forecasting.publishing.publish import count_manifests, find_manifests, find_published
from forecasting.records import instant_of
from forecasting.selection.promotion import rollback_target
from forecasting.storage import Storage


def removable_versions(
    panel: Panel, storage: Storage, now: datetime, without: Iterable[Removal] = ()
) -> list[Removal]:
    """Return the versions to remove, by name; none while a manifest is damaged.

    Args:
        panel: the panel.
        storage: the store.
        now: the present time, UTC.
        without: forecasts that are to be removed, so keep no version in use.

    Raises:
        ModelError: a decision is damaged, so it is unknown which versions it names.
    """
    gone = {removal.folder for removal in without}
    forecasts = forecasts_folder(panel.name)
    kept = [one for folder, one in find_published(storage, forecasts) if folder.rstrip("/") not in gone]
    oldest = min((published.as_of for published in kept), default="")
    count, manifests = count_manifests(storage, forecasts), find_manifests(storage, forecasts)
    if len(manifests) < count:
        return []  # a damaged manifest may name any version
    judged = [one for folder, one in manifests if folder.rstrip("/") not in gone]
    registry = Registry(storage, panel.name)
    # Read after the manifests, because a run records its decision before it publishes.
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
    """Remove a version. Return False, and remove nothing, if a recent decision names it.

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
    """The versions in a forecast's decision: the publisher, the best, and those tested at the gate."""
    decision = manifest.decision
    if decision is None:
        return set()
    judged = decision.verdict.versions.values() if decision.verdict else ()
    return {decision.version, decision.best, decision.challenger, *judged}


def _named_by_decisions(decisions: Sequence[Decision], oldest: str, now: datetime) -> set[str]:
    """The versions named by decisions that a run for an `as_of` since `oldest`, or a rollback, may load."""
    before = [one for one in decisions if one.as_of <= oldest]
    since = [one for one in decisions if one.as_of > oldest]
    back = rollback_target(decisions)
    counting = [*before[-1:], *since, *decisions[-1:], *_recent(decisions, now), *([back] if back else [])]
    return {name for one in counting for name in _rests_on(one)}


def _recent(decisions: Sequence[Decision], now: datetime) -> list[Decision]:
    """The decisions made so recently that a run may still be working on them."""
    return [one for one in decisions if datetime.fromisoformat(one.decided_at) >= now - AT_WORK]


def _rests_on(decision: Decision) -> tuple[str, str]:
    """The versions that a run loads by this decision: the publisher, and the best on record."""
    return decision.version, decision.best


def _why(panel: Panel, storage: Storage, folder: str, now: datetime) -> str | None:
    """Why an unused version may be removed; None while it is too recent, or still being trained."""
    written = max(storage.list_times(folder).values(), default=now)
    if written >= now - AT_WORK:
        return None
    data = storage.find(f"{folder}/{METADATA}")
    if data is None:
        return f"last written {written:%Y-%m-%d}, its training never finished"
    trained = _trained_at(data) or written
    if trained >= now - timedelta(days=panel.retention.model_days):
        return None
    return f"trained {trained:%Y-%m-%d}, no longer used by any forecast or decision"


def _trained_at(metadata: bytes) -> datetime | None:
    """When a version was trained; None if its metadata is damaged."""
    try:
        return instant_of(ModelMetadata.from_json(metadata).trained_at)
    except ValueError:
        return None
