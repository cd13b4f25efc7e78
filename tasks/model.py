"""Retrain or load: who publishes tonight."""

import logging
from typing import Literal

from prefect import task

from forecasting.models.registry import Decision
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot
from forecasting.selection.challenger import WindowPlan, load_decision, retrain, retrain_reason
from forecasting.storage import Storage
from tasks.policy import STEP, TRAINING
from tasks.progress import TaskProgress

Mode = Literal["auto", "retrain", "load"]

_log = logging.getLogger(__name__)


@task(name="decide on retraining", **STEP)
def retraining_is_due(panel: Panel, store: str, snapshot: Snapshot, windows: WindowPlan, mode: Mode) -> bool:
    """Whether a challenger is to be trained: as `mode` says, or when the standing model is due."""
    if mode != "auto":
        return mode == "retrain"
    reason = retrain_reason(panel, Storage(store), snapshot.as_of, windows)
    if reason is not None:
        _log.info("model: retraining, as %s", reason)
    return reason is not None


@task(name="retrain model", **TRAINING)
def retrain_model(panel: Panel, store: str, snapshot: Snapshot, windows: WindowPlan) -> Decision:
    """Train a challenger in a process of its own and let the gate decide who publishes."""
    progress = TaskProgress("training", panel.name)
    decision = retrain(panel, Storage(store), snapshot, windows, progress)
    _log.info("gate: %s %s", decision.reason, decision.next_step)
    return decision


@task(name="load model", **STEP)
def load_model(panel: Panel, store: str, snapshot: Snapshot) -> Decision:
    """Take the decision that stands."""
    decision = load_decision(panel, Storage(store), snapshot.as_of)
    _log.info("model: %s %s, decided as of %s", decision.model, decision.version, decision.as_of)
    return decision
