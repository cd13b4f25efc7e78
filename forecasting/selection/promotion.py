"""Promotion by hand: a person lists the versions of a panel's model and overrides the gate.

A decision by hand is a decision like any other. It is made for the newest `as_of`: runs from that one on use
it until the next challenger is due, and runs for earlier dates ignore it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from forecasting import __version__
from forecasting.commands import command
from forecasting.errors import ModelError
from forecasting.models.presets import preset_of
from forecasting.models.registry import Registry
from forecasting.panel import Panel
from forecasting.publishing.decisions import Decision, DecisionLog
from forecasting.publishing.publish import latest_as_of
from forecasting.selection.challenger import next_step, settings_digest
from forecasting.storage import Storage


@dataclass(frozen=True)
class Version:
    """One version of a panel's model.

    Attributes:
        version: the version's digest.
        is_whole: whether the version can be loaded; a damaged one has defaults below.
        has_settings: whether it was trained with the panel's present settings.
        publishes: whether it publishes, by the newest decision.
        is_best: whether it is the best version on record, by the newest decision.
        training_end: the last bar that it was trained on, as datetime64 text.
        trained_at: when it was trained, ISO 8601 in UTC.
        skill: skill against the random walk on the holdout where it was judged last; None where it never was.
        coverage_80: share of that holdout's prices inside the 80% interval.
        coverage_90: share of that holdout's prices inside the 90% interval.
        judged_as_of: the `as_of` of that holdout.
    """

    version: str
    is_whole: bool
    has_settings: bool
    publishes: bool
    is_best: bool
    training_end: str = ""
    trained_at: str = ""
    skill: float | None = None
    coverage_80: float | None = None
    coverage_90: float | None = None
    judged_as_of: str = ""


def list_versions(panel: Panel, storage: Storage) -> list[Version]:
    """Return every version in the store, the one trained last at the end.

    Raises:
        ModelError: a decision is damaged.
    """
    registry = Registry(storage, panel.name)
    decisions = DecisionLog(storage, panel.name).all()
    found = [_describe(panel, registry, decisions, version) for version in registry.versions()]
    return sorted(found, key=lambda one: one.trained_at)


def plan_promotion(panel: Panel, storage: Storage, version: str, why: str = "") -> Decision:
    """Return the decision that makes `version` publish from the newest `as_of` on; nothing is written.

    The version then also is the best on record.

    Raises:
        ModelError: the version is not in the store, is not whole or has other settings, or the panel never
            ran.
    """
    decisions = _history(panel, storage)
    _check(panel, storage, version)
    known = next((one for one in reversed(decisions) if one.version == version), None)
    return replace(
        _by_hand(panel, storage, decisions[-1]),
        challenger=version,
        model=preset_of(panel).model,
        version=version,
        settings=settings_digest(panel),
        reason=_sentence("Promoted by hand", why),
        verdict=None if known is None else known.verdict,
        best=version,
    )


def plan_rollback(panel: Panel, storage: Storage, why: str = "") -> Decision:
    """Return the decision that restores the previous live publisher; nothing is written.

    Calling it twice undoes it.

    Raises:
        ModelError: nothing else ever published live, or the previous publisher is not whole or has other
            settings.
    """
    decisions = _history(panel, storage)
    before = rollback_target(decisions)
    if before is None:
        now = " ".join(decisions[-1].publisher).rstrip()
        raise ModelError(
            f"panel {panel.name} has only ever published live with {now}; "
            f"to list what can be promoted, run: {command('models', panel, store=storage.uri)}"
        )
    if not before.is_baseline:
        _check(panel, storage, before.version)
    return replace(
        _by_hand(panel, storage, decisions[-1]),
        challenger=before.challenger,
        model=before.model,
        version=__version__ if before.is_baseline else before.version,
        settings=before.settings,
        reason=_sentence(f"Rolled back by hand to what was decided as of {before.as_of}", why),
        verdict=before.verdict,
        best=before.best,
    )


def promote(panel: Panel, storage: Storage, version: str, why: str = "") -> Decision:
    """Make `version` publish from the newest `as_of` on, and return the decision.

    Raises:
        ModelError: as `plan_promotion`.
    """
    return DecisionLog(storage, panel.name).append(plan_promotion(panel, storage, version, why))


def rollback(panel: Panel, storage: Storage, why: str = "") -> Decision:
    """Restore the previous live publisher, and return the decision. Calling it twice undoes it.

    Raises:
        ModelError: as `plan_rollback`.
    """
    return DecisionLog(storage, panel.name).append(plan_rollback(panel, storage, why))


def rollback_target(decisions: Sequence[Decision]) -> Decision | None:
    """Return the decision that a rollback restores: the last live one with another publisher, or None.

    `decisions` are all decisions of a panel, the newest last. A decision was live when it was made for no
    earlier `as_of` than every decision before it: one made by a run for a past date never published live.
    """
    live: list[Decision] = []
    for decision in sorted(decisions, key=lambda one: one.decided_at):
        if not live or decision.as_of >= live[-1].as_of:
            live.append(decision)
    return next((one for one in reversed(live) if one.publisher != live[-1].publisher), None)


def _by_hand(panel: Panel, storage: Storage, standing: Decision) -> Decision:
    """A decision by hand that changes nothing yet: the next training stays due when it was."""
    trained_for = standing.trained_as_of
    return replace(
        standing,
        as_of=max(standing.as_of, latest_as_of(storage, panel) or ""),
        decided_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        trained_for=trained_for,
        by_hand=True,
        next_step=next_step(panel, trained_for),
    )


def _history(panel: Panel, storage: Storage) -> list[Decision]:
    decisions = DecisionLog(storage, panel.name).all()
    if not decisions:
        first = command("run", panel, store=storage.uri)
        raise ModelError(f"panel {panel.name} has no model yet; run: {first}")
    return decisions


def _check(panel: Panel, storage: Storage, version: str) -> None:
    """Refuse a version that could not publish."""
    registry = Registry(storage, panel.name)
    if version not in registry.versions():
        raise ModelError(
            f"panel {panel.name} has no model {version}; "
            f"to list the models, run: {command('models', panel, store=storage.uri)}"
        )
    if not registry.is_intact(version):
        raise ModelError(
            f"model {version} of panel {panel.name} is damaged or not whole; choose another, "
            f"or run: {command('run', panel, '--mode', 'retrain', store=storage.uri)}"
        )
    if registry.metadata(version).settings_digest != settings_digest(panel):
        raise ModelError(
            f"model {version} was made with other settings than panel {panel.name} has now; "
            "choose another, or set them back"
        )


def _sentence(what: str, why: str) -> str:
    return f"{what}: {why.rstrip('.')}." if why else f"{what}."


def _describe(panel: Panel, registry: Registry, decisions: list[Decision], version: str) -> Version:
    standing = decisions[-1] if decisions else None
    found = Version(
        version=version,
        is_whole=registry.is_intact(version),
        has_settings=False,
        publishes=standing is not None and standing.publisher[1] == version,
        is_best=standing is not None and standing.best == version,
    )
    if found.is_whole:
        metadata = registry.metadata(version)
        found = replace(
            found,
            has_settings=metadata.settings_digest == settings_digest(panel),
            training_end=metadata.training_end,
            trained_at=metadata.trained_at,
        )
    judged = (one for one in reversed(decisions) if one.verdict and not one.by_hand)  # by hand: old figures
    for one in judged:
        if one.verdict and (score := one.verdict.score_of(version)):
            return replace(
                found,
                skill=score.skill,
                coverage_80=score.coverage_80,
                coverage_90=score.coverage_90,
                judged_as_of=one.as_of,
            )
    return found
