"""Ingest of a long CSV into the price table, against plain pyarrow and deltalake; and its memory."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from deltalake import write_deltalake

from benchmarks._prices import FIRST_DAY, closes, daily_panel, measured, start
from forecasting.prices.ingest import ingest
from forecasting.storage import Storage

MODULE = "benchmarks.prices_ingest"
SERIES, BARS = 1_000, 2_500
# The same number of rows in ten times as many series.
MANY_SERIES, FEW_BARS = 10_000, 250
REPEATS = 2
NOW = FIRST_DAY + np.timedelta64(5000, "D")


def write_csv(folder: str, series: int, bars: int) -> None:
    """Write the source file, with dates in ISO format."""
    rows = closes(series, bars)
    rows = rows.set_column(1, "ds", rows["ds"].cast(pa.timestamp("us")).cast(pa.date32()))
    pa.csv.write_csv(rows, f"{folder}/prices.csv")


def ingest_ours(folder: str) -> None:
    """Ingest the file: source, audit, price table."""
    with tempfile.TemporaryDirectory(dir=folder) as store:
        ingest(daily_panel(f"{folder}/prices.csv"), Storage(store), NOW)


def ingest_plain(folder: str) -> None:
    """Read the file and append it to a table, without an audit."""
    with tempfile.TemporaryDirectory(dir=folder) as table:
        write_deltalake(table, pa.csv.read_csv(f"{folder}/prices.csv"), mode="append")


def compared(root: str, series: int, bars: int) -> float:
    """Print seconds and memory of both, and return the ratio of the seconds."""
    folder = Path(root) / str(series)
    folder.mkdir()
    measured(MODULE, "write", folder, series, bars)
    parts = [
        min(measured(MODULE, part, folder) for _ in range(REPEATS)) for part in ("nothing", "plain", "ours")
    ]
    (_, base), (plain, plain_mb), (ours, ours_mb) = parts
    print(
        f"{series:6,} series x {bars:5,} bars: ours {ours:6.2f} s, plain {plain:6.2f} s; "
        f"memory ours {ours_mb - base:6,.0f} MB, plain {plain_mb - base:6,.0f} MB"
    )
    return ours / plain


def main() -> None:
    """Print the ratio, and the growth of memory."""
    with tempfile.TemporaryDirectory() as root:
        compared(root, 100, BARS)
        compared(root, MANY_SERIES, FEW_BARS)
        ratio = compared(root, SERIES, BARS)
        print(f"ours / pyarrow.csv and deltalake   {ratio:6.2f} x   (target: 3 x)")


if __name__ == "__main__":
    start(main, {"write": write_csv, "plain": ingest_plain, "ours": ingest_ours})
