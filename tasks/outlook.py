"""Write the outlook: how wide each range is for its series, and the odds of large moves."""

from prefect import task

from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot
from forecasting.publishing.address import ForecastAddress
from forecasting.publishing.decisions import Decision
from forecasting.reports import outlook
from forecasting.storage import Storage
from tasks.options import STEP


@task(name="write outlook", **STEP)
def write_outlook(
    panel: Panel, store: str, snapshot: Snapshot, decision: Decision, address: ForecastAddress
) -> None:
    """Compute the outlook of the forecast, and write it to the forecast's folder."""
    outlook.write_outlook(panel, Storage(store), snapshot, decision, address)
