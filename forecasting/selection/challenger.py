"""Challengers: when to train one, and the decision that the gate makes about it."""

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
from forecasting.models.forecaster import Forecaster
from forecasting.models.presets import preset_of
from forecasting.models.registry import ModelMetadata, Registry
from forecasting.models.shipped import shipped_pretraining
from forecasting.models.training import train_network
from forecasting.models.windows import build_windows
from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.prices.rows_digest import bars_digest
from forecasting.prices.snapshot import Snapshot, bars_behind
from forecasting.progress import Progress, silent
from forecasting.publishing.decisions import Decision, DecisionLog
from forecasting.scoring.limits import beyond_limits
from forecasting.selection.gate import Incumbents, judge, training_end, untested
from forecasting.shards import sample_series
from forecasting.storage import Storage

# A challenger is due when the training data has grown by this share. A week of bars is less in any panel that
# is large enough for a network; a new series may be more.
MATERIAL = 0.05

_log = logging.getLogger(__name__)


# `auto` trains a challenger when one is due, `retrain` always, `load` never.
Mode = Literal["auto", "retrain", "load"]


@dataclass(frozen=True)
class WindowPlan:
    """The data to train on, and the holdout.

    Attributes:
        training_end: the last bar that a version may train on, as datetime64 text.
        training_bars: number of bars up to `training_end`.
        training_windows: number of windows that end by `training_end`.
        holdout_windows: number of windows whose targets all lie after `training_end`.
        version: the version that training on these rows with the panel's settings makes.
    """

    training_end: str
    training_bars: int
    training_windows: int
    holdout_windows: int
    version: str


def plan_training(panel: Panel, storage: Storage, snapshot: Snapshot) -> WindowPlan:
    """Count the windows, and compute the version that training would make. Trains nothing."""
    calendar = panel.calendar
    bars = _training_bars(panel, storage, snapshot)
    end = training_end(calendar, panel.instant(snapshot.as_of), panel.retrain.holdout)
    windows = build_windows(panel, bars, calendar) if bars.ids else None
    usable = bars.until(end)
    identity = {
        "rows": bars_digest(usable),
        "settings": panel.model_keys(),
        "package_version": __version__,
    }
    if panel.model.is_pretrained:
        identity["network"] = shipped_pretraining().weights_digest
    return WindowPlan(
        training_end=str(end),
        training_bars=len(usable),
        training_windows=len(windows.before(end)) if windows else 0,
        holdout_windows=len(windows.after(end)) if windows else 0,
        version=digest_record(identity),
    )


def _training_bars(panel: Panel, storage: Storage, snapshot: Snapshot) -> Bars:
    """The bars that models are trained and tested on: those of a sample of the series of a large panel."""
    return bars_behind(panel, storage, snapshot, sample_series(snapshot.network_ids))


def settings_digest(panel: Panel) -> str:
    """Return the digest of the settings that a trained model depends on."""
    return digest_record(panel.model_keys())


def next_step(panel: Panel, trained_for: str) -> str:
    """Return one sentence that says when the next challenger is due after a training for `trained_for`."""
    last = panel.instant(trained_for) + np.timedelta64(panel.retrain.max_age_days, "D")
    return (
        f"The next challenger is due after {panel.label(last)}, or earlier if the training data grows by "
        f"{MATERIAL:.0%}, the model's settings change, or published forecasts score below the limits in "
        "[scoring]."
    )


def retrain_reason(panel: Panel, storage: Storage, as_of: str, plan: WindowPlan) -> str | None:
    """Return why a challenger is due at `as_of`; None where the standing decision is still good.

    Who publishes by that decision does not matter: a refused challenger, a baseline that publishes or a
    promotion by hand do not make a challenger due. Scores below the panel's limits do, and are reported
    before the age of the model; but only once `[scoring].rest_days` have passed since the last training
    that scores called for.
    """
    log = DecisionLog(storage, panel.name)
    decision = log.standing(as_of)
    if decision is None:
        return "there is no model yet"
    registry = Registry(storage, panel.name)
    if not decision.can_publish(registry):
        return f"model {decision.version} is missing from the store, or damaged"
    if decision.settings != settings_digest(panel):
        return "the panel's model settings have changed"
    if _may_not_load(panel, registry, decision) and not can_publish(panel, registry, decision):
        return f"model {decision.version} cannot be loaded"
    return _scores_reason(panel, storage, log, as_of) or _age_reason(panel, as_of, decision, plan)


def can_publish(panel: Panel, registry: Registry, decision: Decision) -> bool:
    """Whether the publisher is in the store and can be loaded for the panel; a baseline always can."""
    return decision.is_baseline or _can_load(panel, registry, decision.version)


def _can_load(panel: Panel, registry: Registry, version: str) -> bool:
    if not registry.is_intact(version):
        return False
    try:
        registry.load(panel, version)
    except ModelError as error:
        _log.warning("model: %s", error)
        return False
    return True


def _may_not_load(panel: Panel, registry: Registry, decision: Decision) -> bool:
    """Whether it is worth the time to try. A network that needs TensorFlow takes seconds to load.

    One of another version of this package may have been written by another version of Keras.
    """
    if decision.is_baseline:
        return False
    return panel.model.is_pretrained or registry.metadata(decision.version).package_version != __version__


def _age_reason(panel: Panel, as_of: str, decision: Decision, plan: WindowPlan) -> str | None:
    """Why the last training is outdated: it is too old, or was on much less data. None if it is not."""
    trained_for = decision.trained_as_of
    days = _days_between(panel, trained_for, as_of)
    if days > panel.retrain.max_age_days:
        limit = panel.retrain.max_age_days
        return f"the last training was for {trained_for}, {days} days ago (max_age_days = {limit})"
    if _is_material(plan, decision):
        return (
            f"there are {plan.training_bars} bars to train on; the last training, for {trained_for}, had "
            f"{decision.training_bars}"
        )
    return None


def _scores_reason(panel: Panel, storage: Storage, log: DecisionLog, as_of: str) -> str | None:
    """Which limit the scores exceed, in words; None if none, or while the panel rests.

    A rest lasts `[scoring].rest_days` from the last training that scores called for. Trainings for other
    reasons start no rest: with one every week, scores would never call for a training.
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
    """Whether to train a challenger: as `mode` says; with `auto`, when one is due."""
    if mode != "auto":
        return mode == "retrain"
    reason = retrain_reason(panel, storage, snapshot.as_of, plan)
    if reason is not None:
        _log.info("model: retraining, because %s", reason)
    return reason is not None


def load_decision(panel: Panel, storage: Storage, as_of: str) -> Decision:
    """Return the decision that stands at `as_of`.

    Raises:
        ModelError: there is no decision, or it was made for other model settings.
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
    """Train a challenger, and let the gate decide who publishes.

    A version that is in the store already is not trained again. If no training window fits into the history,
    nothing is trained and the EWMA walk publishes.

    Raises:
        ModelError: the training fails or takes longer than the panel allows, or the history is too short for
            a preset without a gate.
    """
    registry, log = Registry(storage, panel.name), DecisionLog(storage, panel.name)
    standing = log.standing(snapshot.as_of)
    if (
        standing is not None
        and can_publish(panel, registry, standing)
        and _is_judged(log, snapshot.as_of, plan.version)
    ):
        _log.info(
            "model: version %s was already trained on these rows and tested; nothing to train", plan.version
        )
        return standing
    bars = _training_bars(panel, storage, snapshot)
    if not plan.training_windows and not panel.model.is_pretrained:
        decision = _without_training(panel, snapshot.as_of, plan)
    else:
        if not _can_load(panel, registry, plan.version):
            _train(panel, registry, bars, plan, on_progress)
        decision = _decide(panel, storage, bars, snapshot.as_of, plan)
    # Recorded whatever the reason of this run: a training started by hand answers the scores' call as well.
    scores = _scores_reason(panel, storage, log, snapshot.as_of) or ""
    return log.append(replace(decision, scores=scores))


def _is_judged(log: DecisionLog, as_of: str, version: str) -> bool:
    """Whether the gate's newest decision is on this version and `as_of`. Decisions by hand do not count."""
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
    """Compare the challenger, the incumbents and the baselines on the holdout."""
    registry, standing = Registry(storage, panel.name), DecisionLog(storage, panel.name).standing(as_of)
    windows = build_windows(panel, bars, panel.calendar)
    challenger = registry.load(panel, plan.version)
    places, absent = _places(panel, registry, standing, plan)
    incumbents = Incumbents(places.networks.get(CHAMPION), places.networks.get(BEST), places.stand_in)
    end = np.datetime64(plan.training_end, "us")
    if plan.training_windows:
        verdict = judge(panel, challenger, windows, end, incumbents)
    else:
        verdict = untested(challenger.name, end)
    versions = {challenger.name: plan.version, **places.versions}
    version = versions.get(verdict.publishes)
    return Decision(
        as_of=as_of,
        decided_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        challenger=plan.version,
        model=verdict.model,
        version=version or __version__,
        regression_weight=registry.metadata(version).regression_weight if version else None,
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
    """The incumbents: by role (`champion`, `best`), and the name of the baseline that publishes."""

    versions: dict[str, str]
    networks: dict[str, Forecaster]
    stand_in: str | None


def _places(
    panel: Panel, registry: Registry, standing: Decision | None, plan: WindowPlan
) -> tuple[_Places, list[str]]:
    """The incumbents by the standing decision, and a sentence for each incumbent that cannot compete."""
    if standing is None:
        return _Places({}, {}, None), []
    is_baseline = standing.is_baseline
    if standing.settings != settings_digest(panel):
        gone = [] if is_baseline else [f"Champion {standing.version} did not compete: it has other settings."]
        return _Places({}, {}, None), gone
    found = {BEST: standing.best} if is_baseline else {CHAMPION: standing.version, BEST: standing.best}
    if found.get(CHAMPION) == standing.best:
        del found[BEST]
    others = {role: version for role, version in found.items() if version not in {"", plan.version}}
    networks: dict[str, Forecaster] = {}
    absent = []
    for role, version in others.items():
        try:
            networks[role] = _incumbent(panel, registry, version, plan)
        except ModelError as error:  # it must not cost the challenger's forecast
            absent.append(f"{role.capitalize()} {version} did not compete: {error}.")
    versions = {role: version for role, version in others.items() if role in networks}
    # A baseline that publishes because there was no model has won no comparison.
    return _Places(versions, networks, standing.model if is_baseline and standing.verdict else None), absent


def _incumbent(panel: Panel, registry: Registry, version: str, plan: WindowPlan) -> Forecaster:
    """A version, to be tested on the windows after the plan's `training_end`.

    Raises:
        ModelError: it cannot be tested, and why.
    """
    if not registry.is_intact(version):
        raise ModelError("it is missing from the store, or damaged")
    end = registry.metadata(version).training_end
    if np.datetime64(end) > np.datetime64(plan.training_end):
        raise ModelError(f"it was trained up to {end[:16]}, on some of the bars held out for this test")
    try:
        return registry.load(panel, version)
    except ModelError as error:
        _log.warning("model: %s", error)
        raise ModelError("it cannot be loaded") from error


def _without_training(panel: Panel, as_of: str, plan: WindowPlan) -> Decision:
    """The decision without a training: the EWMA walk publishes. For a preset without a gate, an error."""
    need = panel.model.context_bars + panel.forecast.horizon + 1
    end = plan.training_end[:10]
    if not preset_of(panel).gated:
        raise ModelError(
            f'preset = "{panel.model.preset}" trains on windows of {panel.model.context_bars} + '
            f"{panel.forecast.horizon} bars, but no series of panel {panel.name} has {need} bars without a "
            f"long gap up to {end}, where training ends; give more history, or set "
            'preset = "default" in [model]'
        )
    return Decision(
        as_of=as_of,
        decided_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        challenger=plan.version,
        model=EwmaWalk.name,
        version=__version__,
        settings=settings_digest(panel),
        reason=(
            f"{EwmaWalk.name} publishes, because there is too little history to train a model: a training "
            f"window takes {need} bars, and no series has that many before {end}."
        ),
        verdict=None,
        trained_for=as_of,
        training_bars=0,
        next_step=next_step(panel, as_of),
    )
