"""`nightcast backtest`: how well the model and the baselines would have forecast past dates."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
from cyclopts import Parameter

from deployments import terminal
from deployments.commands.options import PanelName, Panels, Store
from forecasting.as_of import to_instant
from forecasting.errors import NightcastError
from forecasting.evaluation.backtest import BacktestPlan, BacktestResult, backtest_panel
from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage


def backtest(
    panel: PanelName,
    /,
    *,
    cutoffs: Annotated[int, Parameter(help="How many past dates (cutoffs) to forecast from.")] = 12,
    stride: Annotated[int, Parameter(help="Bars between one cutoff and the next.")] = 72,
    refit: Annotated[
        str, Parameter(help="Train again after this many cutoffs; never: train once.")
    ] = "never",
    output: Annotated[
        Path | None, Parameter(help="Write every prediction to this Parquet file, and a report beside it.")
    ] = None,
    store: Store = None,
    panels: Panels = None,
) -> None:
    """Compare the model with both random walks on past dates (walk-forward test)."""
    settings = Panel.load(panel, panels)
    if output is not None:
        _check_output(output)
    storage, plan = Storage(store), BacktestPlan(cutoffs, stride, _refit_every(refit))
    if not PriceTable.exists(storage, settings.name):
        ingest(settings, storage, to_instant(datetime.now(UTC)))
    result = backtest_panel(settings, storage, plan, terminal.ProgressLines("backtest"))
    terminal.print_backtest(settings, result)
    if output is not None:
        _write_backtest(settings, result, output)


def _check_output(output: Path) -> None:
    """Report a mistake in `--output` before the work starts, and create the folder."""
    if output.is_dir():
        raise NightcastError(
            f"--output {output} is a folder; give a file in it, such as {output / 'backtest.parquet'}"
        )
    if output.suffix == ".html":
        raise NightcastError(
            f"--output {output} is the name of the report; give a file for the predictions, such as "
            f"{output.with_suffix('.parquet')}"
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NightcastError(
            f"--output {output} cannot be written ({error.strerror}); give a file in another folder"
        ) from error


def _write_backtest(panel: Panel, result: BacktestResult, output: Path) -> None:
    """Write the predictions to `output`, and beside them the report and its static files."""
    from forecasting.reports.assets import put_assets  # noqa: PLC0415 - only for `--output`
    from forecasting.reports.backtest_report import render_backtest  # noqa: PLC0415 - loads matplotlib

    report = output.with_suffix(".html")
    pq.write_table(result.predictions, output)
    put_assets(Storage(str(output.parent)), plotly=False)
    report.write_text(render_backtest(panel, result, report.name), encoding="utf-8")
    print(f"Every prediction: {output}\nReport: {report}")


def _refit_every(refit: str) -> int | None:
    if refit == "never":
        return None
    if refit.isdigit() and int(refit) > 0:
        return int(refit)
    raise NightcastError(f'--refit {refit!r} is neither "never" nor a number of cutoffs, such as 4')
