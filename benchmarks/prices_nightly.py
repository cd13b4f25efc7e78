"""The nightly ingest: one new bar per series, into stores of one, two and three years; and its memory."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks._prices import FIRST_DAY, closes, daily_panel, measured, start
from forecasting.prices.ingest import ingest
from forecasting.prices.schema import GOOD
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

MODULE = "benchmarks.prices_nightly"
SERIES, YEAR = 10_000, 250
REPEATS = 3
NOW = FIRST_DAY + np.timedelta64(5000, "D")


def write_store(folder: str, series: int, bars: int) -> None:
    """Write a store with `bars` bars per series, and a file with the next bar of each series."""
    rows = closes(series, bars)
    for name in GOOD.names:
        if name not in rows.column_names:
            rows = rows.append_column(name, rows["close"])
    PriceTable.create(Storage(f"{folder}/store"), daily_panel("nowhere.csv")).append(rows, NOW)
    pq.write_table(closes(series, 1, first=bars), f"{folder}/prices.parquet")


def ingest_night(folder: str) -> None:
    """Ingest the new bars."""
    report = ingest(daily_panel(f"{folder}/prices.parquet"), Storage(f"{folder}/store"), NOW)
    assert report.appended == report.offered


def nights(root: Path, series: int, bars: int) -> tuple[float, float]:
    """Return seconds and memory of a night on copies of such a store, the best of several."""
    folder = Path(root) / f"{series}-{bars}"
    folder.mkdir()
    measured(MODULE, "write", folder, series, bars)
    found = []
    for _ in range(REPEATS):
        copy = Path(root) / "copy"
        shutil.copytree(folder, copy)
        found.append(measured(MODULE, "ingest", copy))
        shutil.rmtree(copy)
    return min(found)


def main() -> None:
    """Print how the cost grows with the store and with the new rows."""
    with tempfile.TemporaryDirectory() as root:
        _, base = measured(MODULE, "nothing", root)
        shapes = [(100, 3), (SERIES, 1), (SERIES, 2), (SERIES, 3)]
        seconds = []
        for series, years in shapes:
            took, megabytes = nights(Path(root), series, years * YEAR)
            seconds.append(took)
            print(f"{series:6,} new bars onto {years} years: {took:6.2f} s, {megabytes - base:6,.0f} MB")
        print(f"three years / one year   {seconds[-1] / seconds[1]:6.2f} x   (target: about 1 x)")


if __name__ == "__main__":
    start(main, {"write": write_store, "ingest": ingest_night})
