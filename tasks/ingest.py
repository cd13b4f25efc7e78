"""Ingest prices: from the panel's source to its price table."""

import logging
from datetime import UTC, datetime

from prefect import task

from forecasting.as_of import to_instant
from forecasting.panel import Panel
from forecasting.prices.ingest import IngestReport, ingest
from forecasting.storage import Storage
from tasks.findings import shown_when_stopped
from tasks.policy import STEP

_log = logging.getLogger(__name__)


@task(name="ingest prices", **STEP)
def ingest_prices(panel: Panel, store: str) -> IngestReport:
    """Read the source, refuse rows that cannot be right, and append what is new to the price table.

    The store learns the rows when the source is read, however late the run started.
    """
    with shown_when_stopped(panel):
        report = ingest(panel, Storage(store), to_instant(datetime.now(UTC)))
    _log.info(
        "ingest: %d rows offered, %d new, %d there already, %d refused",
        report.offered,
        report.appended,
        report.identical,
        report.quarantined,
    )
    return report
