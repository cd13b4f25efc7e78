"""Audit prices: which `as_of`, and which series are fit to forecast."""

import logging
from datetime import datetime

from prefect import task

from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot, take_snapshot
from forecasting.storage import Storage
from tasks.findings import shown_when_stopped
from tasks.policy import STEP

_log = logging.getLogger(__name__)


@task(name="audit prices", **STEP)
def audit_prices(panel: Panel, store: str, as_of: str | None, due: datetime) -> Snapshot:
    """Decide the `as_of` and which series get a forecast; stop the run when too few are fit."""
    with shown_when_stopped(panel):
        snapshot = take_snapshot(panel, Storage(store), as_of, due)
    _log.info(
        "audit: as of %s, %d series for the model, %d for a baseline, %d left out",
        snapshot.as_of,
        len(snapshot.network_ids),
        len(snapshot.baseline_ids),
        len(snapshot.left_out),
        extra={"series": snapshot.left_out},  # of machine-readable lines: which, and why
    )
    return snapshot
