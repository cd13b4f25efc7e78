"""Retrain or load: choose the model that publishes."""

import logging

from prefect import task

from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot
from forecasting.publishing.decisions import Decision
from forecasting.selection.challenger import Mode, WindowPlan, is_training_due, load_decision, retrain
from forecasting.storage import Storage
from tasks.options import STEP, TRAINING
from tasks.progress import TaskProgress

_log = logging.getLogger(__name__)


@task(name="decide on retraining", **STEP)
def retraining_is_due(panel: Panel, store: str, snapshot: Snapshot, windows: WindowPlan, mode: Mode) -> bool:
    """Whether to train a challenger: by `mode`, or if the present model is due for retraining."""
    return is_training_due(panel, Storage(store), snapshot, windows, mode)


@task(name="retrain model", **TRAINING)
def retrain_model(panel: Panel, store: str, snapshot: Snapshot, windows: WindowPlan) -> Decision:
    """Train a challenger in its own process and let the gate decide which model publishes."""
    progress = TaskProgress("training", panel.name)
    decision = retrain(panel, Storage(store), snapshot, windows, progress)
    _log.info("gate: %s %s", decision.reason, decision.next_step)
    return decision


@task(name="load model", **STEP)
def load_model(panel: Panel, store: str, as_of: str) -> Decision:
    """Load the present decision."""
    decision = load_decision(panel, Storage(store), as_of)
    _log.info("model: %s %s, decided as of %s", decision.model, decision.version, decision.as_of)
    return decision
