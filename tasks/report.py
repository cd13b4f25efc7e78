"""Write the report: a page about the forecast with its data, in the forecast's folder."""

import logging
from collections.abc import Sequence

from prefect import task

from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot
from forecasting.publishing.address import REPORT, ForecastAddress
from forecasting.publishing.decisions import Decision
from forecasting.reports import report_data
from forecasting.storage import Storage
from tasks.options import STEP

_log = logging.getLogger(__name__)


@task(name="write report", **STEP)
def write_report(
    panel: Panel,
    store: str,
    snapshot: Snapshot,
    decision: Decision,
    address: ForecastAddress,
    row_findings: Sequence[Finding],
) -> None:
    """Write the page with the data of its table and charts, and the findings and warnings as files too."""
    storage = Storage(store)
    report_data.write_report(panel, storage, snapshot, decision, address, row_findings)
    _log.info("report: %s", storage.display(address.path(REPORT)))
