"""The steps that several flows share, in their order."""

from collections.abc import Sequence
from typing import Any

from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.snapshot import Snapshot
from tasks.charts import draw_charts
from tasks.forecast import forecast
from tasks.model import Mode, load_model, retrain_model, retraining_is_due
from tasks.publish import find_published, publish
from tasks.report import write_report
from tasks.summarise import summarise
from tasks.windows import plan_windows


def publish_forecast(
    panel: Panel, store: str, snapshot: Snapshot, mode: Mode, row_findings: Sequence[Finding] = ()
) -> dict[str, Any]:
    """Retrain or load, forecast, draw, report and publish the snapshot's `as_of`; the manifest."""
    windows = plan_windows(panel, store, snapshot)
    if retraining_is_due(panel, store, snapshot, windows, mode):
        decision = retrain_model(panel, store, snapshot, windows)
    else:
        decision = load_model(panel, store, snapshot)

    manifest = find_published(panel, store, snapshot, decision)
    if manifest is None:
        address = forecast(panel, store, snapshot, decision)
        draw_charts(panel, store, snapshot, decision, address)
        write_report(panel, store, snapshot, decision, address, row_findings)
        manifest = publish(panel, store, address, snapshot, decision, row_findings)
    summarise(panel, store, manifest)
    return manifest
