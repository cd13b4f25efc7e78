"""Write a backtest to the store: all predictions, the report, and last the summary."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from forecasting import __version__
from forecasting.digests import digest_bytes
from forecasting.evaluation.backtest import BacktestResult
from forecasting.panel import Panel
from forecasting.parquet import table_to_bytes
from forecasting.reports.assets import put_assets
from forecasting.reports.backtest_report import render_backtest
from forecasting.storage import Storage

PREDICTIONS = "predictions.parquet"
REPORT = "_report.html"
SUMMARY = "_summary.json"


def write_backtest(panel: Panel, storage: Storage, result: BacktestResult) -> str:
    """Write a backtest's files, and return their folder.

    The folder is named by a digest of the backtest's inputs: the same backtest writes the same predictions to
    the same folder.
    """
    folder = f"backtests/{panel.name}/{result.identity}"
    objects = {
        PREDICTIONS: table_to_bytes(result.predictions),
        REPORT: render_backtest(panel, result, f"{folder}/{REPORT}").encode(),
    }
    put_assets(storage, plotly=False)
    for name, data in objects.items():
        storage.put(f"{folder}/{name}", data)
    digests = {name: digest_bytes(data) for name, data in objects.items()}
    summary = _summary(panel, result) | {"objects": digests}
    storage.put(f"{folder}/{SUMMARY}", json.dumps(summary, indent=1, sort_keys=True).encode())
    return folder


def _summary(panel: Panel, result: BacktestResult) -> dict[str, Any]:
    return {
        "panel": panel.name,
        "package_version": __version__,
        "written_at": datetime.now(UTC).isoformat(),
        "plan": asdict(result.plan),
        "cutoffs": [panel.label(cutoff) for cutoff in result.cutoffs],
        "model": result.model,
        "unscored": result.unscored,
        "scores": [asdict(score) for score in result.table],
    }
