"""Reading prices for windows, against `pyarrow.dataset` reading the same files; and its memory."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
from deltalake import DeltaTable

from benchmarks._prices import FIRST_DAY, closes, daily_panel, measured, start
from forecasting.prices.bars import Bars
from forecasting.prices.schema import GOOD
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

SERIES, BARS = 10_000, 750
REPEATS = 2
# Repeated in one process: on virtual machines, getting memory from the host costs more than the work itself.
TIMES = 3
NOW = FIRST_DAY + np.timedelta64(5000, "D")


def write_store(folder: str, series: int) -> None:
    """Write a store with a price table, in its own process: children inherit their parent's peak memory."""
    rows = closes(series, BARS)
    for name in GOOD.names:
        if name not in rows.column_names:
            rows = rows.append_column(name, rows["close"])
    PriceTable.create(Storage(folder), daily_panel("nowhere.csv")).append(rows, NOW)


def read_ours(folder: str) -> Bars:
    """Read the bars as a run does."""
    rows = PriceTable(Storage(folder), "bench").newest(values=["close"])
    return Bars.from_table(rows, "close")


def read_plain(folder: str) -> object:
    """Read the same columns of the same files, unsorted."""
    files = DeltaTable(f"{folder}/prices/bench").file_uris()
    return ds.dataset(files).to_table(columns=["unique_id", "ds", "close", "known_at"])


def main() -> None:
    """Print the ratio, and the growth of memory."""
    with tempfile.TemporaryDirectory() as root:
        for series in (100, SERIES):
            folder = Path(root) / str(series)
            measured("benchmarks.prices_read", "write", folder, series)
            parts = {
                part: [measured("benchmarks.prices_read", part, folder) for _ in range(REPEATS)]
                for part in ("nothing", "plain", "ours")
            }
            (_, base), (plain, plain_mb), (ours, ours_mb) = (min(runs) for runs in parts.values())
            print(
                f"{series:6,} series x {BARS} bars: ours {ours:6.2f} s, pyarrow.dataset {plain:6.2f} s; "
                f"memory ours {ours_mb - base:6,.0f} MB, pyarrow.dataset {plain_mb - base:6,.0f} MB"
            )
        print(f"ours / pyarrow.dataset   {ours / plain:6.2f} x   (target: 2 x)")


if __name__ == "__main__":
    start(main, {"write": write_store, "plain": read_plain, "ours": read_ours}, TIMES)
