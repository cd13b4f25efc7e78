"""Backtest: run a walk-forward test, keep every prediction, and show the scores.

In this process a backtest is one task. On a cluster, each training and each cutoff is one.
"""

import logging

from prefect import task

from forecasting.evaluation import backtest_pieces
from forecasting.evaluation.backtest import BacktestPlan, BacktestResult, backtest_panel
from forecasting.evaluation.backtest_pieces import BacktestWork
from forecasting.panel import Panel
from forecasting.storage import Storage
from forecasting.working_folders import working_folder
from tasks.artifacts import artifact_key, show_markdown
from tasks.engine import Engine
from tasks.options import STEP, TRAINING
from tasks.progress import TaskProgress

_log = logging.getLogger(__name__)


def backtest_on(engine: Engine, panel: Panel, store: str, plan: BacktestPlan) -> str:
    """Backtest with an engine the panel's model and both random walks; return the files' folder."""
    if not engine.is_cluster:
        return run_backtest(panel, store, plan)
    with working_folder(Storage(store), f"backtests/{panel.name}/_work") as folder:
        work = plan_backtest(panel, store, plan, folder)
        _send_pieces(engine, panel, store, work)
        return join_backtest(panel, store, work)


def _send_pieces(engine: Engine, panel: Panel, store: str, work: BacktestWork) -> None:
    """Have all pieces done, each cutoff as soon as its network is trained."""
    tell, total = TaskProgress("backtesting", panel.name), len(work.cutoffs)
    common = {"panel": panel, "store": store, "work": work}
    trainings = {
        number: engine.start(train_network, **common, number=number, place=work.place(panel, number))
        for number in work.trainings
    }
    cutoffs = []
    for number in range(total):
        if number in trainings:
            trainings[number]().result()
        place = panel.label(work.cutoffs[number])
        cutoffs.append(engine.start(forecast_cutoff, **common, number=number, place=place))
    for number, wait in enumerate(cutoffs):
        wait().result()
        tell(number, total, work.place(panel, number))
    tell(total, total, "scored")


@task(name="backtest", **TRAINING)
def run_backtest(panel: Panel, store: str, plan: BacktestPlan) -> str:
    """Backtest the panel's model and both random walks; return the folder of the files in the store."""
    storage = Storage(store)
    result = backtest_panel(panel, storage, plan, TaskProgress("backtesting", panel.name))
    return _write(panel, storage, result)


@task(name="plan backtest", **STEP)
def plan_backtest(panel: Panel, store: str, plan: BacktestPlan, folder: str) -> BacktestWork:
    """Choose the cutoffs of a backtest that is done in pieces."""
    return backtest_pieces.plan_work(panel, Storage(store), plan, folder)


@task(name="backtest training", task_run_name="train: {place}", **TRAINING)
def train_network(panel: Panel, store: str, work: BacktestWork, number: int, place: str) -> None:
    """Train the network of a cutoff."""

    def tell(done: int, total: int, message: str) -> None:  # noqa: ARG001 - the names of `Progress`
        _log.info("backtesting: %s: %s", place, message)

    backtest_pieces.train_piece(panel, Storage(store), work, number, tell)


@task(name="backtest cutoff", task_run_name="forecast from {place}", **STEP)
def forecast_cutoff(panel: Panel, store: str, work: BacktestWork, number: int, place: str) -> None:
    """Forecast from a cutoff."""
    backtest_pieces.forecast_piece(panel, Storage(store), work, number)
    _log.info("backtesting: forecast from %s", place)


@task(name="join backtest", **STEP)
def join_backtest(panel: Panel, store: str, work: BacktestWork) -> str:
    """Join the pieces of a backtest; return the folder of its files in the store."""
    storage = Storage(store)
    return _write(panel, storage, backtest_pieces.join_pieces(panel, storage, work))


def _write(panel: Panel, storage: Storage, result: BacktestResult) -> str:
    """Write the files of a backtest, and show its scores; return the files' folder."""
    # Both load matplotlib, which takes a second.
    from forecasting.reports.backtest_files import PREDICTIONS, REPORT, write_backtest  # noqa: PLC0415 - above
    from forecasting.reports.backtest_report import backtest_markdown  # noqa: PLC0415 - above

    folder = write_backtest(panel, storage, result)
    report, predictions = (storage.display(f"{folder}/{name}") for name in (REPORT, PREDICTIONS))
    show_markdown(
        artifact_key("backtest", panel.name),
        [backtest_markdown(panel, result), f"Report: `{report}`", f"Every prediction: `{predictions}`"],
        f"How well {result.model} would have forecast {panel.name}",
    )
    _log.info("backtest: %s", report)
    return folder
