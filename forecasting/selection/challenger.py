"""Which model publishes: when to train a challenger, and what the gate makes of it."""

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from forecasting import __version__
from forecasting.digests import digest_bytes, digest_record
from forecasting.errors import ModelError
from forecasting.evaluation.verdict import BEST, CHAMPION
from forecasting.models.baselines import EwmaWalk
from forecasting.models.presets import preset_of
from forecasting.models.registry import ModelMetadata, Registry
from forecasting.models.training import train_network
from forecasting.models.windows import build_windows
from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.prices.snapshot import Snapshot, bars_digest, read_bars
from forecasting.progress import Progress, silent
from forecasting.publishing.decisions import Decision, DecisionLog
from forecasting.scoring.limits import beyond_limits
from forecasting.selection.gate import Incumbents, judge, training_end
from forecasting.storage import Storage

# New data is material, and a challenger due, when there is so much more to train on. The bars of a week are
# less for any panel that a network is any good for; a series that the panel did not have may well be more.
MATERIAL = 0.05

_log = logging.getLogger(__name__)


# Whether a run retrains when that is due, now, or never.
Mode = Literal["auto", "retrain", "load"]


@dataclass(frozen=True)
class WindowPlan:
    """What there is to train on, and what is held out.

    Attributes:
        training_end: the last bar that a version may train on, as datetime64 text.
        training_bars: bars by then.
        training_windows: windows that end by then.
        holdout_windows: windows after it, none of whose targets a version has seen.
        version: the version that training on these rows with this panel's settings makes.
    """

    training_end: str
    training_bars: int
    training_windows: int
    holdout_windows: int
    version: str


def plan_training(panel: Panel, storage: Storage, snapshot: Snapshot) -> WindowPlan:
    """Count the windows and name the version that training would make; nothing is trained."""
    calendar = panel.calendar
    bars = read_bars(panel, storage, snapshot).select(list(snapshot.network_ids))
    end = training_end(calendar, panel.instant(snapshot.as_of), panel.retrain.holdout)
    windows = build_windows(panel, bars, calendar) if bars.ids else None
    usable = bars.until(end)
    identity = {
        "rows": bars_digest(usable),
        "settings": panel.model_keys(),
        "package_version": __version__,
    }
    return WindowPlan(
        training_end=str(end),
        training_bars=len(usable),
        training_windows=len(windows.before(end)) if windows else 0,
        holdout_windows=len(windows.after(end)) if windows else 0,
        version=digest_record(identity),
    )


def settings_digest(panel: Panel) -> str:
    """Digest of the settings that a trained model depends on."""
    return digest_record(panel.model_keys())


def next_step(panel: Panel, trained_for: str) -> str:
    """When the challenger after a training for that `as_of` is due, in one sentence."""
    last = panel.instant(trained_for) + np.timedelta64(panel.retrain.max_age_days, "D")
    return (
        f"The next challenger is due after {panel.label(last)}, or when there is "
        f"{MATERIAL:.0%} more to train on, or when the model's settings change, "
        "or when published forecasts turn out worse than [scoring] allows."
    )


def retrain_reason(panel: Panel, storage: Storage, as_of: str, plan: WindowPlan) -> str | None:
    """Why a challenger is due at `as_of`, in words; None when the decision that stands is good for longer.

    It is the same whoever publishes by that decision: a challenger that was refused, a baseline that stands
    in or a promotion by hand make none due. Forecasts that turned out worse than the panel's limits do, and
    are named before age; but not again before the panel has rested since the last training that they
    called for.
    """
    log = DecisionLog(storage, panel.name)
    decision = log.standing(as_of)
    if decision is None:
        return "there is no model yet"
    if not decision.can_publish(Registry(storage, panel.name)):
        return f"model {decision.version} is missing from the store, or damaged"
    if decision.settings != settings_digest(panel):
        return "the panel's model settings have changed"
    return _disappointed(panel, storage, log, as_of) or _outgrown(panel, as_of, decision, plan)


def _outgrown(panel: Panel, as_of: str, decision: Decision, plan: WindowPlan) -> str | None:
    """That the last training is long ago, or was on much less, in words."""
    trained_for = decision.trained_as_of
    days = _days_between(panel, trained_for, as_of)
    if days > panel.retrain.max_age_days:
        limit = panel.retrain.max_age_days
        return f"the last training was for {trained_for}, {days} days ago (max_age_days = {limit})"
    if _is_material(plan, decision):
        return (
            f"there are {plan.training_bars} bars to train on, against {decision.training_bars} at the last "
            f"training, for {trained_for}"
        )
    return None


def _disappointed(panel: Panel, storage: Storage, log: DecisionLog, as_of: str) -> str | None:
    """What published forecasts did wrong, in words; None while the panel rests from their last call.

    Trainings for other reasons are no rest: where one comes every week, there would never be a call.
    """
    beyond = beyond_limits(panel, storage, as_of)
    if beyond is None:
        return None
    called = [one.trained_as_of for one in log.all(as_of) if one.scores]
    rests = bool(called) and _days_between(panel, max(called), as_of) < panel.scoring.rest_days
    return None if rests else beyond


def _days_between(panel: Panel, earlier: str, later: str) -> int:
    age = panel.instant(later) - panel.instant(earlier)
    return int(age / np.timedelta64(1, "D"))


def _is_material(plan: WindowPlan, decision: Decision) -> bool:
    if decision.training_bars is None or not plan.training_windows:
        return False
    return plan.training_bars >= (1 + MATERIAL) * decision.training_bars


def is_training_due(
    panel: Panel, storage: Storage, snapshot: Snapshot, plan: WindowPlan, mode: Mode = "auto"
) -> bool:
    """Whether to train a challenger: as `mode` says, or when the standing decision is due."""
    if mode != "auto":
        return mode == "retrain"
    reason = retrain_reason(panel, storage, snapshot.as_of, plan)
    if reason is not None:
        _log.info("model: retraining, as %s", reason)
    return reason is not None


def load_decision(panel: Panel, storage: Storage, as_of: str) -> Decision:
    """The decision that stands at `as_of`.

    Raises:
        ModelError: there is none, or it was made for other model settings.
    """
    decision = DecisionLog(storage, panel.name).standing(as_of)
    if decision is None:
        raise ModelError(
            f"panel {panel.name} has no model to load as of {as_of}; run with --mode auto or retrain"
        )
    if decision.settings != settings_digest(panel):
        raise ModelError(
            f"model {decision.version} was made with other settings than panel {panel.name} has now;"
            " run with --mode auto or retrain"
        )
    return decision


def retrain(
    panel: Panel, storage: Storage, snapshot: Snapshot, plan: WindowPlan, on_progress: Progress = silent
) -> Decision:
    """Train a challenger, unless this very version is there already, and let the gate decide who publishes.

    A baseline stands in, and nothing is trained, where no window fits into the history.

    Raises:
        ModelError: the training fails or takes longer than the panel allows.
    """
    registry, log = Registry(storage, panel.name), DecisionLog(storage, panel.name)
    standing = log.standing(snapshot.as_of)
    if (
        standing is not None
        and standing.can_publish(registry)
        and _is_judged(log, snapshot.as_of, plan.version)
    ):
        _log.info(
            "model %s is already trained on exactly these rows and judged; nothing to train", plan.version
        )
        return standing
    bars = read_bars(panel, storage, snapshot).select(list(snapshot.network_ids))
    if not plan.training_windows:
        decision = _without_training(panel, snapshot.as_of, plan)
    else:
        if not registry.is_intact(plan.version):
            _train(panel, registry, bars, plan, on_progress)
        decision = _decide(panel, storage, bars, snapshot.as_of, plan)
    # By the scores and not by the reason of this run: a training by hand answers their call as well.
    scores = _disappointed(panel, storage, log, snapshot.as_of) or ""
    return log.append(replace(decision, scores=scores))


def _is_judged(log: DecisionLog, as_of: str, version: str) -> bool:
    """Whether the gate's last word was on this version and for this `as_of`, whatever a person said since."""
    judged = [decision for decision in log.all(as_of) if not decision.by_hand]
    return bool(judged) and (judged[-1].as_of, judged[-1].challenger) == (as_of, version)


def _train(panel: Panel, registry: Registry, bars: Bars, plan: WindowPlan, on_progress: Progress) -> None:
    end = np.datetime64(plan.training_end, "us")
    network = train_network(panel, bars, end, on_progress)
    metadata = ModelMetadata(
        version=plan.version,
        sha256=digest_bytes(network.model_bytes),
        settings=panel.model_keys(),
        trained_at=datetime.now(UTC).isoformat(),
        panel=panel.name,
        training_end=plan.training_end,
        training_digest=bars_digest(bars.until(end)),
        package_version=__version__,
        state=network.state,
        history=network.history,
        **network.facts,
    )
    registry.save(network, metadata)


def _decide(panel: Panel, storage: Storage, bars: Bars, as_of: str, plan: WindowPlan) -> Decision:
    """Let the challenger, those it finds in place and the baselines meet on the holdout."""
    registry, standing = Registry(storage, panel.name), DecisionLog(storage, panel.name).standing(as_of)
    windows = build_windows(panel, bars, panel.calendar)
    challenger = registry.load(panel, plan.version)
    places, absent = _places(panel, registry, standing, plan)
    networks = {role: registry.load(panel, version) for role, version in places.versions.items()}
    incumbents = Incumbents(networks.get(CHAMPION), networks.get(BEST), places.stand_in)
    verdict = judge(panel, challenger, windows, np.datetime64(plan.training_end, "us"), incumbents)
    versions = {challenger.name: plan.version, **places.versions}
    return Decision(
        as_of=as_of,
        decided_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        challenger=plan.version,
        model=verdict.model,
        version=versions.get(verdict.publishes, __version__),
        settings=settings_digest(panel),
        reason=" ".join([verdict.reason, *absent]),
        verdict=replace(verdict, versions=versions),
        best=versions[verdict.best],
        trained_for=as_of,
        training_bars=plan.training_bars,
        next_step=next_step(panel, as_of),
    )


@dataclass(frozen=True)
class _Places:
    """Whom a challenger finds in place: versions by role (`champion`, `best`), and a baseline's name."""

    versions: dict[str, str]
    stand_in: str | None


def _places(
    panel: Panel, registry: Registry, standing: Decision | None, plan: WindowPlan
) -> tuple[_Places, list[str]]:
    """Who is in place by the decision that stands, and a sentence for each who cannot compete."""
    if standing is None:
        return _Places({}, None), []
    is_baseline = standing.is_baseline
    if standing.settings != settings_digest(panel):
        gone = [] if is_baseline else [f"Champion {standing.version} did not compete: it has other settings."]
        return _Places({}, None), gone
    found = {BEST: standing.best} if is_baseline else {CHAMPION: standing.version, BEST: standing.best}
    if found.get(CHAMPION) == standing.best:
        del found[BEST]
    others = {role: version for role, version in found.items() if version not in {"", plan.version}}
    why_not = {role: _why_not(registry, version, plan) for role, version in others.items()}
    absent = [
        f"{role.capitalize()} {others[role]} did not compete: {why}." for role, why in why_not.items() if why
    ]
    versions = {role: version for role, version in others.items() if not why_not[role]}
    # A baseline that stands in for want of a model has won nothing.
    return _Places(versions, standing.model if is_baseline and standing.verdict else None), absent


def _why_not(registry: Registry, version: str, plan: WindowPlan) -> str | None:
    """Why a version cannot be judged on the windows after the plan's `training_end`; None where it can."""
    if not registry.is_intact(version):
        return "it is missing from the store, or damaged"
    end = registry.metadata(version).training_end
    if np.datetime64(end) > np.datetime64(plan.training_end):
        return f"it was trained up to {end[:16]}, on bars that it would be judged by"
    return None


def _without_training(panel: Panel, as_of: str, plan: WindowPlan) -> Decision:
    """The EWMA walk publishes; but nothing stands in for the lecture's network, which is there as it is."""
    need = panel.model.context_bars + panel.forecast.horizon + 1
    end = plan.training_end[:10]
    if not preset_of(panel).gated:
        raise ModelError(
            f'preset = "{panel.model.preset}" trains on windows of {panel.model.context_bars} + '
            f"{panel.forecast.horizon} bars, and no series of panel {panel.name} has {need} without a long "
            f"gap by {end}, "
            'where training ends; give more history, or set preset = "default" in [model]'
        )
    return Decision(
        as_of=as_of,
        decided_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        challenger=plan.version,
        model=EwmaWalk.name,
        version=__version__,
        settings=settings_digest(panel),
        reason=(
            f"{EwmaWalk.name} stands in: no series has the {need} bars before {end}"
            " that one training window takes."
        ),
        verdict=None,
        trained_for=as_of,
        training_bars=0,
        next_step=next_step(panel, as_of),
    )
