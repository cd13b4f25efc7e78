"""Promotion by hand: the versions of a panel's model, what they were worth, and a person's say over the gate.

What a person says is a decision like any other, made for the newest `as_of` there is: runs from that one on
publish with it, until the next challenger is due, and runs for the past do not know of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from forecasting import __version__
from forecasting.digests import digest_record
from forecasting.errors import ModelError
from forecasting.models.baselines import BASELINES
from forecasting.models.presets import preset_of
from forecasting.models.registry import Decision, Registry
from forecasting.panel import Panel
from forecasting.publishing.publish import latest_as_of
from forecasting.selection.challenger import next_step, settings_digest
from forecasting.storage import Storage


@dataclass(frozen=True)
class Version:
    """One version of a panel's model.

    Attributes:
        version: its digest.
        is_whole: whether it can be loaded; a damaged one has nothing below.
        has_settings: whether it was trained with the settings that the panel has now.
        publishes: whether it does, by the newest decision.
        is_best: whether it is the best on record there.
        training_end: the last bar it was trained on, as datetime64 text.
        trained_at: when, ISO 8601 in UTC.
        skill: on the holdout where it was judged last, against the random walk; None where it never was.
        coverage_80: the share of that holdout's prices inside its 80% interval; coverage_90 likewise.
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
    """Every version in the store, the one trained last at the end.

    Raises:
        ModelError: a decision is damaged.
    """
    registry = Registry(storage, panel.name)
    decisions = registry.decisions()
    found = [_describe(panel, registry, decisions, version) for version in registry.versions()]
    return sorted(found, key=lambda one: one.trained_at)


def promote(panel: Panel, storage: Storage, version: str, why: str = "") -> Decision:
    """Have `version` publish from the newest `as_of` on; the decision. It is the best on record then.

    Raises:
        ModelError: there is no such version, it is not whole or has other settings, or the panel never ran.
    """
    registry = Registry(storage, panel.name)
    decisions = _history(panel, registry)
    _check(panel, registry, version)
    known = next((one for one in reversed(decisions) if one.version == version), None)
    return registry.record(
        replace(
            _by_hand(panel, storage, decisions[-1]),
            challenger=version,
            model=preset_of(panel).model,
            version=version,
            settings=settings_digest(panel),
            reason=_sentence("Promoted by hand", why),
            verdict={} if known is None else known.verdict,
            best=version,
        )
    )


def rollback(panel: Panel, storage: Storage, why: str = "") -> Decision:
    """Have publish what did before what does now; the decision. Twice in a row leads back.

    Raises:
        ModelError: nothing else ever did, or it is not whole or has other settings.
    """
    registry = Registry(storage, panel.name)
    decisions = _history(panel, registry)
    before = rollback_target(decisions)
    if before is None:
        now = " ".join(_publisher(decisions[-1])).rstrip()
        raise ModelError(
            f"panel {panel.name} has only ever published with {now}; "
            f"nightcast models {panel.name} lists what can be promoted"
        )
    if before.model not in BASELINES:
        _check(panel, registry, before.version)
    return registry.record(
        replace(
            _by_hand(panel, storage, decisions[-1]),
            challenger=before.challenger,
            model=before.model,
            version=__version__ if before.model in BASELINES else before.version,
            settings=before.settings,
            reason=_sentence(f"Rolled back by hand to what was decided as of {before.as_of}", why),
            verdict=before.verdict,
            best=before.best,
        )
    )


def rollback_target(decisions: Sequence[Decision]) -> Decision | None:
    """Of all decisions, the newest last, the one that a rollback leads back to; None where there is none."""
    return next((one for one in reversed(decisions) if _publisher(one) != _publisher(decisions[-1])), None)


def _by_hand(panel: Panel, storage: Storage, standing: Decision) -> Decision:
    """A decision by hand that changes nothing yet: the next training is due when it was."""
    trained_for = standing.trained_for or standing.as_of
    return replace(
        standing,
        as_of=max(standing.as_of, latest_as_of(storage, panel.name) or ""),
        decided_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        trained_for=trained_for,
        by_hand=True,
        next_step=next_step(panel, trained_for),
    )


def _history(panel: Panel, registry: Registry) -> list[Decision]:
    decisions = registry.decisions()
    if not decisions:
        raise ModelError(f"panel {panel.name} has no model yet; run: nightcast run {panel.name}")
    return decisions


def _check(panel: Panel, registry: Registry, version: str) -> None:
    """Refuse a version that could not publish."""
    if version not in registry.versions():
        raise ModelError(
            f"panel {panel.name} has no model {version}; nightcast models {panel.name} lists them"
        )
    if not registry.is_intact(version):
        raise ModelError(
            f"model {version} of panel {panel.name} is damaged or not whole; choose another, "
            "or run with --mode retrain"
        )
    if not _has_settings(panel, registry.metadata(version)):
        raise ModelError(
            f"model {version} was made with other settings than panel {panel.name} has now; "
            "choose another, or set them back"
        )


def _has_settings(panel: Panel, metadata: dict[str, Any]) -> bool:
    return digest_record(metadata["settings"]) == settings_digest(panel)


def _publisher(decision: Decision) -> tuple[str, str]:
    """Who publishes by it; a baseline has no version of its own."""
    return decision.model, "" if decision.model in BASELINES else decision.version


def _sentence(what: str, why: str) -> str:
    return f"{what}: {why.rstrip('.')}." if why else f"{what}."


def _describe(panel: Panel, registry: Registry, decisions: list[Decision], version: str) -> Version:
    standing = decisions[-1] if decisions else None
    whole = registry.is_intact(version)
    metadata = registry.metadata(version) if whole else {}
    judged_as_of, score = next(
        ((one.as_of, row) for one in reversed(decisions) if (row := _score(one, version))), ("", {})
    )
    return Version(
        version=version,
        is_whole=whole,
        has_settings=whole and _has_settings(panel, metadata),
        publishes=standing is not None and _publisher(standing)[1] == version,
        is_best=standing is not None and standing.best == version,
        training_end=metadata.get("training_end", ""),
        trained_at=metadata.get("trained_at", ""),
        skill=score.get("skill"),
        coverage_80=score.get("coverage_80"),
        coverage_90=score.get("coverage_90"),
        judged_as_of=judged_as_of,
    )


def _score(decision: Decision, version: str) -> dict[str, Any] | None:
    """What the gate measured of a version when it made this decision."""
    if decision.by_hand:  # its numbers are those of an earlier one
        return None
    versions = decision.verdict.get("versions", {})
    rows = (row for row in decision.verdict.get("table", ()) if versions.get(row["candidate"]) == version)
    return next(rows, None)
