"""1,000 series from CSV to Parquet and charts: `nightcast run` against straight scripts with peer libraries.

A straight script has no memory: it does the same every night. `nightcast run` has a first night, and then
nights that add a bar of each series. Each side draws a picture of every series, or none.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.peers.night_clock import SERVER
from benchmarks.peers.nights import ALL_CHARTS, NIGHTS, Night, Runner, write_prices
from benchmarks.peers.usage import ONE_THREAD, PEERS, ROOT, Usage, load, run

SERIES = 1_000
SCRIPT = ROOT / "benchmarks" / "peers" / "straight_night.py"
OURS, DRAWN = "nightcast run", ("charts", "no charts")
# As `straight_night.py` names them; a thousand steps are the default of neuralforecast.
STRAIGHT = {
    "statsforecast, walk with drift": "RandomWalkWithDrift",
    "statsforecast, Theta": "Theta",
    "statsforecast, AutoETS": "AutoETS",
    "neuralforecast, LSTM": "steps:1000",
}


def straight(model: str, prices: Path, folder: Path, *, charts: bool) -> Usage:
    """Run a straight script."""
    words = [model, prices, folder / "straight", *(["--charts"] if charts else [])]
    return run([PEERS, SCRIPT, *words], folder / "straight.log", ONE_THREAD)


def measure(series: int, folder: Path, only: str) -> Iterator[tuple[str, Usage, Night | None]]:
    """Run all sides in turn: yield the side, what it took and, of `nightcast`, the parts.

    A side is left out unless its name, such as `nightcast run, charts`, contains `only`.
    """
    prices = folder / "prices"
    prices.mkdir()
    runners = {
        drawn: Runner.of_prices(folder / drawn.replace(" ", "-"), prices, ALL_CHARTS) for drawn in DRAWN
    }
    for night in NIGHTS:
        write_prices(prices, series, night)
        for drawn, runner in runners.items():
            if only in f"{OURS}, {drawn}":
                one = runner.run(charts=drawn == "charts")
                yield f"{OURS}, {drawn}, {night} night", one.usage, one
    for name, model in STRAIGHT.items():
        for drawn in DRAWN:
            if only in f"{name}, {drawn}":
                yield f"{name}, {drawn}", straight(model, prices, folder, charts=drawn == "charts"), None


def main() -> None:
    """Print what each side took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("series", nargs="?", type=int, default=SERIES)
    parser.add_argument("--only", default="", help="only the sides whose names contain this")
    given = parser.parse_args()
    print(load())
    heads = f"{'seconds':>9}{'processor s':>13}{'peak MB':>9}"
    print(f"{given.series:,} series{'':35}{heads}  of it Prefect's server")
    with tempfile.TemporaryDirectory() as folder:
        for side, used, night in measure(given.series, Path(folder), given.only):
            server = "  {:.1f} s, {:.1f} processor s".format(*night.parts[SERVER]) if night else ""
            numbers = f"{used.seconds:9.1f}{used.processor_seconds:13.1f}{used.megabytes:9,.0f}"
            print(f"{side:47}{numbers}{server}", flush=True)
            if night is not None:
                print(json.dumps({"side": side, **asdict(night)}), flush=True)
    print(load())


if __name__ == "__main__":
    main()
