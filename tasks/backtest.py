"""Backtest: run a walk-forward test, keep every prediction, and show the scores."""

import logging

from prefect import task

from forecasting.evaluation.backtest import BacktestPlan, backtest_panel
from forecasting.panel import Panel
from forecasting.storage import Storage
from tasks.artifacts import artifact_key, show_markdown
from tasks.options import TRAINING
from tasks.progress import TaskProgress

_log = logging.getLogger(__name__)


@task(name="backtest", **TRAINING)
def run_backtest(panel: Panel, store: str, plan: BacktestPlan) -> str:
    """Backtest the panel's model and both random walks; return the folder of the files in the store."""
    # Both load matplotlib, which takes a second.
    from forecasting.reports.backtest_files import PREDICTIONS, REPORT, write_backtest  # noqa: PLC0415 - above
    from forecasting.reports.backtest_report import backtest_markdown  # noqa: PLC0415 - above

    storage = Storage(store)
    result = backtest_panel(panel, storage, plan, TaskProgress("backtesting", panel.name))
    folder = write_backtest(panel, storage, result)
    report, predictions = (storage.display(f"{folder}/{name}") for name in (REPORT, PREDICTIONS))
    show_markdown(
        artifact_key("backtest", panel.name),
        [backtest_markdown(panel, result), f"Report: `{report}`", f"Every prediction: `{predictions}`"],
        f"How well {result.model} would have forecast {panel.name}",
    )
    _log.info("backtest: %s", report)
    return folder
