"""`nightcast new`: from prices to the panel file that describes them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from deployments import terminal
from deployments.commands.options import Panels, Store
from forecasting.as_of import to_instant
from forecasting.commands import command
from forecasting.panel import Panel, panels_folder
from forecasting.prices.discovery.discover import Discovery, discover
from forecasting.prices.discovery.panel_file import write_panel
from forecasting.prices.schema import VALUES
from forecasting.storage import locate

Prices = Annotated[str, Parameter(help="A file, folder, web address, bucket or database with prices.")]
Name = Annotated[str, Parameter(help="The panel's name. Default: after the file.")]


def new(prices: Prices, /, *, name: Name = "", store: Store = None, panels: Panels = None) -> None:
    """Look at prices and write the panel file that describes them; an existing file stays as it is."""
    found = discover(prices, to_instant(datetime.now(UTC)), name)
    path, variable = write_panel(found.panel, panels_folder(panels))
    _print(found, path, variable)
    print(f"Next: {command('run', Panel.load(path), store=locate(store)[0])}")


def _print(found: Discovery, path: Path, variable: str) -> None:
    """The file as written, the first rows as they were understood, and what was guessed."""
    print(f"{path}:\n")
    print(path.read_text(encoding="utf-8"))
    given = [name for name in VALUES if found.rows[name].null_count < found.rows.num_rows]
    print(f"{found.audit.good.num_rows} good rows of {found.series} series were looked at; the first:")
    terminal.print_table(
        ("unique_id", "ds", *given),
        [
            (
                row["unique_id"],
                f"{row['ds']:%Y-%m-%d %H:%M}",
                *("" if row[name] is None else f"{row[name]:g}" for name in given),
            )
            for row in found.rows.to_pylist()
        ],
    )
    if found.audit.findings:
        terminal.print_findings(found.audit.findings)
    if found.unsure:
        print("\nNot sure of, and worth a look:")
        for guess in found.unsure:
            print(f"- {guess}")
    if variable:
        print(
            f"\nSet the environment variable {variable} to the database's password; the file does not hold "
            "it."
        )
    print()
