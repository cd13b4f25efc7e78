"""Audit prices: resolve the `as_of` and choose the series that are fit to forecast."""

import logging
from datetime import datetime

from prefect import task

from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot, take_snapshot
from forecasting.storage import Storage
from tasks.findings import findings_shown_on_stop
from tasks.options import STEP

_log = logging.getLogger(__name__)


@task(name="audit prices", **STEP)
def audit_prices(panel: Panel, store: str, as_of: str | None, due: datetime) -> Snapshot:
    """Resolve the `as_of` and choose the series to forecast. Too few fit series stop the run."""
    with findings_shown_on_stop(panel):
        snapshot = take_snapshot(panel, Storage(store), as_of, due)
    _log.info(
        "audit: as of %s, %d series for the model, %d for a baseline, %d left out",
        snapshot.as_of,
        len(snapshot.network_ids),
        len(snapshot.baseline_ids),
        len(snapshot.left_out),
        extra={"series": snapshot.left_out},  # JSON log lines name the series and the reasons
    )
    return snapshot
