"""Panels whose prices grow by a bar a night, and measured runs of them."""

import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import usage
from benchmarks.peers.night_clock import NO_CHARTS

BARS = 750
NIGHTS = ("first", "second")
PANEL = """\
name = "nights"

[source]
uri = "{prices}"
"""
ALL_CHARTS = """
[charts]
png = "all"
"""


@dataclass(frozen=True)
class Night:
    """What a night took, and the wall and processor seconds of its parts."""

    usage: usage.Usage
    parts: dict[str, tuple[float, float]]


def write_prices(folder: Path, series: int, night: str) -> None:
    """Write the CSV file that a night finds: the past, or a new bar of each series."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(_write, folder, series, night).result()


def _write(folder: Path, series: int, night: str) -> None:
    from pyarrow import csv  # noqa: PLC0415 - in a process of its own: the measuring one stays small

    from benchmarks._prices import closes  # noqa: PLC0415 - as above

    table = closes(series, BARS + 1)
    is_new = table["ds"].to_numpy() == table["ds"].to_numpy().max()
    csv.write_csv(table.filter(is_new if night == "second" else ~is_new), folder / f"{night}.csv")


@dataclass(frozen=True)
class Runner:
    """Runs the nights of one panel in a folder of its own."""

    folder: Path
    panels: Path
    panel: str = "nights"

    @classmethod
    def of_prices(cls, folder: Path, prices: Path, settings: str = "") -> "Runner":
        """A runner of a panel of the CSV files in `prices`, with further settings."""
        folder.mkdir()
        (folder / "nights.toml").write_text(PANEL.format(prices=prices) + settings)
        return cls(folder, folder)

    def run(self, *, charts: bool = True) -> Night:
        """Run a night as `nightcast run` does."""
        settings = {"PREFECT_HOME": str(self.folder / "prefect"), **({} if charts else {NO_CHARTS: "1"})}
        output = self.folder / "parts.json"
        words = ["run", self.panel, "--panels", self.panels, "--store", self.folder / "store"]
        clock = [sys.executable, "-m", "benchmarks.peers.night_clock", output, time.monotonic()]
        used = usage.run([*clock, *words], self.folder / "run.log", settings)
        return Night(used, json.loads(output.read_text()))
