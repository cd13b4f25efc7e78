"""Which model publishes: when to train a challenger, and what the gate makes of it."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from forecasting import __version__
from forecasting.as_of import parse_as_of
from forecasting.bars import Bars
from forecasting.digests import digest_record
from forecasting.errors import ModelError
from forecasting.evaluation.gate import CHAMPION, judge, training_end
from forecasting.models.baselines import BASELINES, EwmaWalk
from forecasting.models.forecaster import Forecaster
from forecasting.models.registry import Decision, Registry
from forecasting.models.training import TrainedNetwork, train_network
from forecasting.panel import Panel
from forecasting.progress import Progress
from forecasting.snapshot import Snapshot, bars_digest, read_bars
from forecasting.storage import Storage
from forecasting.windows import build_windows

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WindowPlan:
    """What there is to train on, and what is held out.

    Attributes:
        training_end: the last bar that a version may train on, as datetime64 text.
        training_windows: windows that end by then.
        holdout_windows: windows after it, none of whose targets a version has seen.
        version: the version that training on these rows with this panel's settings makes.
    """

    training_end: str
    training_windows: int
    holdout_windows: int
    version: str


def index_windows(panel: Panel, storage: Storage, snapshot: Snapshot) -> WindowPlan:
    """Count the windows and name the version that training would make; nothing is trained."""
    calendar = panel.calendar
    bars = read_bars(panel, storage, snapshot).select(list(snapshot.network_ids))
    end = training_end(calendar, parse_as_of(snapshot.as_of, panel.bars.freq), panel.retrain.holdout)
    windows = build_windows(panel, bars, calendar) if bars.ids else None
    identity = {
        "rows": bars_digest(bars.until(end)),
        "settings": panel.model_keys(),
        "package_version": __version__,
    }
    return WindowPlan(
        training_end=str(end),
        training_windows=len(windows.before(end)) if windows else 0,
        holdout_windows=len(windows.after(end)) if windows else 0,
        version=digest_record(identity),
    )


def settings_digest(panel: Panel) -> str:
    """Digest of the settings that a trained model depends on."""
    return digest_record(panel.model_keys())


def retrain_reason(panel: Panel, storage: Storage, as_of: str) -> str | None:
    """Why a challenger is due at `as_of`, in words; None when the decision that stands is good for longer."""
    registry = Registry(storage, panel.name)
    decision = registry.decision(as_of)
    if decision is None:
        return "there is no model yet"
    if not _is_whole(registry, decision):
        return f"model {decision.version} is missing from the store, or damaged"
    if decision.settings != settings_digest(panel):
        return "the panel's model settings have changed"
    age = parse_as_of(as_of, panel.bars.freq) - parse_as_of(decision.as_of, panel.bars.freq)
    days = int(age / np.timedelta64(1, "D"))
    if days > panel.retrain.max_age_days:
        limit = panel.retrain.max_age_days
        return f"the last training was for {decision.as_of}, {days} days ago (max_age_days = {limit})"
    return None


def load_decision(panel: Panel, storage: Storage, as_of: str) -> Decision:
    """The decision that stands at `as_of`.

    Raises:
        ModelError: there is none, or it was made for other model settings.
    """
    decision = Registry(storage, panel.name).decision(as_of)
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
    panel: Panel, storage: Storage, snapshot: Snapshot, plan: WindowPlan, on_progress: Progress
) -> Decision:
    """Train a challenger, unless this very version is there already, and let the gate decide who publishes.

    A baseline stands in, and nothing is trained, where no window fits into the history.

    Raises:
        ModelError: the training fails or takes longer than the panel allows.
    """
    registry = Registry(storage, panel.name)
    standing = registry.decision(snapshot.as_of)
    if standing is not None and _is_whole(registry, standing) and _judged(standing, snapshot.as_of, plan):
        _log.info(
            "model %s is already trained on exactly these rows and judged; nothing to train", plan.version
        )
        return standing
    bars = read_bars(panel, storage, snapshot).select(list(snapshot.network_ids))
    if not plan.training_windows:
        decision = _without_training(panel, snapshot.as_of, plan)
    else:
        if not registry.has(plan.version):
            _train(panel, registry, bars, plan, on_progress)
        decision = _decide(panel, registry, bars, snapshot.as_of, plan)
    registry.record(decision)
    return decision


def _is_whole(registry: Registry, decision: Decision) -> bool:
    return decision.model in BASELINES or registry.has(decision.version)


def _judged(decision: Decision, as_of: str, plan: WindowPlan) -> bool:
    return decision.as_of == as_of and decision.challenger == plan.version


def _train(panel: Panel, registry: Registry, bars: Bars, plan: WindowPlan, on_progress: Progress) -> None:
    end = np.datetime64(plan.training_end, "us")
    network = train_network(panel, bars, end, on_progress)
    facts = {
        "panel": panel.name,
        "settings": panel.model_keys(),
        "training_end": plan.training_end,
        "training_digest": bars_digest(bars.until(end)),
        "package_version": __version__,
        "trained_at": datetime.now(UTC).isoformat(),
    }
    registry.save(plan.version, network, facts, _loss_curve(network))


def _loss_curve(network: TrainedNetwork) -> bytes | None:
    if not network.history["step"]:
        return None
    from forecasting.publishing.charts import draw_loss_curve  # noqa: PLC0415 - matplotlib takes a second

    return draw_loss_curve(network.history)


def _decide(panel: Panel, registry: Registry, bars: Bars, as_of: str, plan: WindowPlan) -> Decision:
    """Let challenger, champion and baselines meet on the holdout."""
    windows = build_windows(panel, bars, panel.calendar)
    standing = registry.decision(as_of)
    champion = _champion(panel, registry, standing, plan)
    challenger = registry.load(panel, plan.version)
    verdict = judge(panel, challenger, windows, np.datetime64(plan.training_end, "us"), champion)
    versions = {challenger.name: plan.version, CHAMPION: standing.version if standing else ""}
    return Decision(
        as_of=as_of,
        decided_at=datetime.now(UTC).isoformat(timespec="microseconds"),
        challenger=plan.version,
        model=verdict.model,
        version=versions.get(verdict.publishes, __version__),
        settings=settings_digest(panel),
        reason=verdict.reason,
        verdict=verdict.to_record(),
    )


def _champion(
    panel: Panel, registry: Registry, standing: Decision | None, plan: WindowPlan
) -> Forecaster | None:
    """The network that published until now, where it is another version and still fits the panel."""
    if standing is None or standing.model in BASELINES or standing.version == plan.version:
        return None
    if standing.settings != settings_digest(panel):
        return None
    if not registry.has(standing.version):
        _log.warning("gate: champion %s is missing, or damaged: it does not compete", standing.version)
        return None
    return registry.load(panel, standing.version)


def _without_training(panel: Panel, as_of: str, plan: WindowPlan) -> Decision:
    """The EWMA walk publishes; but nothing stands in for the lecture's network, which is there as it is."""
    need = panel.model.context_bars + panel.forecast.horizon + 1
    end = plan.training_end[:10]
    if panel.model.preset == "lecture":
        raise ModelError(
            f'preset = "lecture" trains on windows of {panel.model.context_bars} + {panel.forecast.horizon} '
            f"bars, and no series of panel {panel.name} has {need} without a long gap by {end}, "
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
        verdict={},
    )
