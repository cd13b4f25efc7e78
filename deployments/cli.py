"""The command line: it parses, calls a flow or the library, and prints.

Exit 0: the command did what it says. Exit 1: it did not, with one clear line why.
"""

import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated, Literal, Never

import numpy as np
import pyarrow.parquet as pq
from cyclopts import App, CycloptsError, Parameter

from deployments import environment, terminal
from forecasting import __version__
from forecasting.as_of import parse_as_of, to_instant
from forecasting.errors import AuditError, NightcastError
from forecasting.evaluation.backtest import BacktestPlan, BacktestResult, backtest_panel
from forecasting.models.promotion import list_versions, promote, rollback
from forecasting.models.registry import Registry
from forecasting.panel import Panel
from forecasting.prices.export import export_file, export_prices
from forecasting.prices.ingest import ingest as ingest_prices
from forecasting.prices.table import PriceTable
from forecasting.snapshot import take_snapshot
from forecasting.storage import Storage

if TYPE_CHECKING:
    from forecasting.findings import Finding

app = App(
    name="nightcast",
    help="Scheduled batch forecasts of price series: 72 steps ahead, with honest intervals, every morning.",
    version=__version__,
    help_format="plaintext",
)

PanelName = Annotated[str, Parameter(help="A panel's name, or a path to its TOML file.")]
Store = Annotated[str | None, Parameter(help="The store's URI. Default: NIGHTCAST_STORE, or ./store.")]
Panels = Annotated[
    str | None, Parameter(help="The folder of panel files. Default: NIGHTCAST_PANELS, or deployments/panels.")
]
Mode = Annotated[
    Literal["auto", "retrain", "load"],
    Parameter(help="auto: retrain when it is due. retrain: now. load: use the model there is."),
]
AsOf = Annotated[
    str | None,
    Parameter(help="The last date whose bars may be used (intraday: YYYY-MM-DDTHHMMZ). Default: the newest."),
]


@app.command
def run(
    panel: PanelName,
    /,
    *,
    as_of: AsOf = None,
    mode: Mode = "auto",
    store: Store = None,
    panels: Panels = None,
) -> None:
    """The nightly run, once: ingest, audit, retrain or load, forecast, draw, report, publish."""
    settings = Panel.load(panel, panels)  # a mistake in it is told at once, not after Prefect has started
    instant = parse_as_of(as_of, settings.bars.freq) if as_of else None
    storage = Storage(store)
    from deployments.prefect_run import run_nightly  # noqa: PLC0415 - Prefect takes seconds to import

    terminal.print_run(storage, run_nightly(panel, panels, storage.uri, instant, mode))


@app.command
def ingest(
    panel: PanelName,
    /,
    *,
    export: Annotated[str | None, Parameter(help="Write the newest prices to this Parquet file.")] = None,
    store: Store = None,
    panels: Panels = None,
) -> None:
    """Take what is new from the panel's source into its price table."""
    settings, storage = Panel.load(panel, panels), Storage(store)
    file = None if export is None else export_file(export)  # a mistake in it is told before the work
    terminal.print_ingest(ingest_prices(settings, storage, _now()))
    if file is not None:
        print(f"{export_prices(storage, settings.name, file)} bars, the newest value of each: {file}")


@app.command
def audit(panel: PanelName, /, *, as_of: AsOf = None, store: Store = None, panels: Panels = None) -> None:
    """Ingest, then print what the audit finds in the rows of the source and in the series as of a date."""
    settings, storage = Panel.load(panel, panels), Storage(store)
    found: tuple[Finding, ...] = ()
    try:
        found = ingest_prices(settings, storage, _now()).findings
        snapshot = take_snapshot(settings, storage, as_of, datetime.now(UTC))
    except AuditError as error:  # which stops a run, but must not hide what led to it
        terminal.print_findings([*found, *error.findings])
        raise
    terminal.print_audit(snapshot, found)


@app.command
def backtest(
    panel: PanelName,
    /,
    *,
    cutoffs: Annotated[int, Parameter(help="How many cutoffs.")] = 12,
    stride: Annotated[int, Parameter(help="Bars from one cutoff to the next.")] = 72,
    refit: Annotated[str, Parameter(help="never, or train again every so many cutoffs.")] = "never",
    output: Annotated[
        Path | None, Parameter(help="Write every prediction to this Parquet file, and beside it a report.")
    ] = None,
    store: Store = None,
    panels: Panels = None,
) -> None:
    """Walk forward over the past on common cutoffs, the model beside both random walks."""
    settings = Panel.load(panel, panels)
    if output is not None:
        _check_output(output)
    storage, plan = Storage(store), BacktestPlan(cutoffs, stride, _refit_every(refit))
    if not PriceTable.exists(storage, settings.name):
        ingest_prices(settings, storage, _now())
    result = backtest_panel(settings, storage, plan, terminal.ProgressLines("backtest"))
    terminal.print_backtest(settings, result)
    if output is not None:
        _write_backtest(settings, result, output)


@app.command
def models(
    panel: PanelName,
    action: Annotated[
        Literal["list", "promote", "rollback"],
        Parameter(help="list versions and decisions, promote VERSION, or roll back the last change."),
    ] = "list",
    version: Annotated[str, Parameter(help="Of promote: who is to publish.")] = "",
    /,
    *,
    reason: Annotated[str, Parameter(help="Of promote and rollback: why; it is recorded.")] = "",
    store: Store = None,
    panels: Panels = None,
) -> None:
    """The versions of a panel's model, what they were worth, and who publishes; change that by hand."""
    settings, storage = Panel.load(panel, panels), Storage(store)
    if (action == "promote") != bool(version):
        raise NightcastError(
            f"nightcast models PANEL {action} takes {'a VERSION; list shows them' if not version else 'none'}"
        )
    if action == "promote":
        terminal.print_decision(promote(settings, storage, version, reason))
    elif action == "rollback":
        terminal.print_decision(rollback(settings, storage, reason))
    else:
        terminal.print_models(
            settings, list_versions(settings, storage), Registry(storage, settings.name).decisions()
        )


@app.command
def demo(*, store: Store = None) -> None:
    """The bundled panel, from raw file to charts, and where to look."""
    print("The euro's exchange rates, from the file that the ECB publishes to 72-day forecasts with charts.")
    run("ecb_fx", store=store, panels=str(environment.BUNDLED_PANELS))
    print("\nOpen the report in a browser first. Run it again: it finds its own result and changes nothing.")


def _fail(reason: str) -> Never:
    print(f"nightcast: {' '.join(reason.split())}", file=sys.stderr)
    sys.exit(1)


def _check_output(output: Path) -> None:
    """Tell of a mistake in it before the work, and make its folder."""
    if output.is_dir():
        raise NightcastError(
            f"--output {output} is a folder; give a file in it, such as {output / 'backtest.parquet'}"
        )
    if output.suffix == ".html":
        raise NightcastError(
            f"--output {output} is where the report goes; give the predictions' file, such as "
            f"{output.with_suffix('.parquet')}"
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NightcastError(
            f"--output {output} cannot be written ({error.strerror}); give a file in another folder"
        ) from error


def _write_backtest(panel: Panel, result: BacktestResult, output: Path) -> None:
    """Write the predictions to `output`, and the report beside them."""
    from forecasting.publishing.backtest_report import render_backtest  # noqa: PLC0415 - loads matplotlib

    report = output.with_suffix(".html")
    pq.write_table(result.predictions, output)
    report.write_text(render_backtest(panel, result), encoding="utf-8")
    print(f"Every prediction: {output}\nReport: {report}")


def _refit_every(refit: str) -> int | None:
    if refit == "never":
        return None
    if refit.isdigit() and int(refit) > 0:
        return int(refit)
    raise NightcastError(f'--refit {refit!r} is neither "never" nor a number of cutoffs, such as 4')


def _now() -> np.datetime64:
    return to_instant(datetime.now(UTC))


def main(words: Sequence[str] | None = None) -> Never:
    """Run the command in `words` (else the program's arguments), and exit: 1 when it cannot be done."""
    environment.prepare()
    try:
        with environment.own_lines_only():
            app(sys.argv[1:] if words is None else words, exit_on_error=False, print_error=False)
    except (NightcastError, CycloptsError) as error:
        _fail(str(error))
    except Exception as error:  # noqa: BLE001 - nobody expects a traceback; it is kept for whoever asks
        with NamedTemporaryFile("w", prefix="nightcast-", suffix=".log", delete=False) as log:
            traceback.print_exc(file=log)
        reason = (str(error).splitlines() or [""])[0]
        _fail(f"unexpected {type(error).__name__}: {reason}; the traceback is in {log.name}")
    sys.exit(0)
