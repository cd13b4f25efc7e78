"""Ingest prices: read the panel's source and append what is new to its price table."""

import logging
from datetime import UTC, datetime

from prefect import task

from forecasting.as_of import to_instant
from forecasting.panel import Panel
from forecasting.prices.ingest import IngestReport, ingest
from forecasting.storage import Storage
from tasks.findings import findings_shown_on_stop
from tasks.options import STEP

_log = logging.getLogger(__name__)


@task(name="ingest prices", **STEP)
def ingest_prices(panel: Panel, store: str) -> IngestReport:
    """Read the source, refuse invalid rows, and append what is new to the price table.

    The store learns the rows when the source is read, however late the run started.
    """
    with findings_shown_on_stop(panel):
        report = ingest(panel, Storage(store), to_instant(datetime.now(UTC)))
    _log.info(
        "ingest: %d rows offered, %d new, %d already stored, %d refused",
        report.offered,
        report.appended,
        report.identical,
        report.quarantined,
    )
    return report
