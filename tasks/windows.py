"""Plan windows: choose the windows to train on and the windows to hold out."""

import logging

from prefect import task

from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot
from forecasting.selection.challenger import WindowPlan, plan_training
from forecasting.storage import Storage
from tasks.options import STEP

_log = logging.getLogger(__name__)


@task(name="plan windows", **STEP)
def plan_windows(panel: Panel, store: str, snapshot: Snapshot) -> WindowPlan:
    """Index the snapshot's windows and name the model version that training on them would make."""
    made = plan_training(panel, Storage(store), snapshot)
    _log.info(
        "windows: %d to train on, to %s; %d held out",
        made.training_windows,
        made.training_end[:16],
        made.holdout_windows,
    )
    return made
