"""`nightcast ingest` and `nightcast audit`: read and check prices."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from deployments import terminal
from deployments.commands.options import AsOf, PanelName, Panels, Store
from forecasting.as_of import to_instant
from forecasting.errors import AuditError
from forecasting.panel import Panel
from forecasting.prices.export import export_file, export_prices
from forecasting.prices.ingest import ingest as ingest_prices
from forecasting.prices.snapshot import take_snapshot
from forecasting.storage import Storage

if TYPE_CHECKING:
    from forecasting.findings import Finding


def ingest(
    panel: PanelName,
    /,
    *,
    export: Annotated[str | None, Parameter(help="Write the newest prices to this Parquet file.")] = None,
    store: Store = None,
    panels: Panels = None,
) -> None:
    """Append what is new in the panel's source to its price table."""
    settings, storage = Panel.load(panel, panels), Storage(store)
    file = None if export is None else export_file(export)  # report a mistake in it before the work
    terminal.print_ingest(ingest_prices(settings, storage, to_instant(datetime.now(UTC))))
    if file is not None:
        print(f"{export_prices(storage, settings, file)} bars, the newest value of each: {file}")


def audit(panel: PanelName, /, *, as_of: AsOf = None, store: Store = None, panels: Panels = None) -> None:
    """Ingest, then print the audit's findings on the source's rows and on the series as of a date."""
    settings, storage = Panel.load(panel, panels), Storage(store)
    found: tuple[Finding, ...] = ()
    try:
        found = ingest_prices(settings, storage, to_instant(datetime.now(UTC))).findings
        snapshot = take_snapshot(settings, storage, as_of, datetime.now(UTC))
    except AuditError as error:  # stops the command, but the findings that led to it are shown
        terminal.print_findings([*found, *error.findings])
        raise
    terminal.print_audit(snapshot, found)
