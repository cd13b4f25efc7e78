"""Whole nights of growing panels: wall and processor seconds, and peak memory, of `nightcast run`.

Each panel has a first night, a second one with a new bar of every series, and one with nothing new. With
`--against CHECKOUT`, an older checkout of the project runs the same nights in turn; run `make install` in
it first, as it needs the packages of its own lock file. `--no-charts` replaces the drawing of pictures by
nothing, in both.

    .venv/bin/python -m benchmarks.growth 1000 10000 --against CHECKOUT --no-charts
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks._prices import closes

SERIES = (100, 1_000)
BARS = 750
HERE = Path(__file__).parent.parent
PANEL = 'name = "growth"\n\n[source]\nuri = "{uri}"\n'
NIGHTS = (("first", "auto"), ("second", "load"), ("nothing new", "load"))
# The rooms of an older checkout have other names, and its program has no `start`. Prefect is imported only by
# the program, once its settings are made.
PROGRAM = """\
import os
from importlib import import_module
from importlib.util import find_spec

def replace(function, by, *modules):
    for name in modules:
        try:
            return setattr(import_module(name), function, by)
        except ModuleNotFoundError:  # of the other version
            continue
    raise SystemExit(f"no module has {function}")

if os.environ["GROWTH_NO_CHARTS"]:
    replace("draw_gallery", lambda *_: None, "forecasting.reports.gallery", "forecasting.publishing.gallery")
    pages = ("forecasting.reports.summary", "forecasting.publishing.headlines")
    replace("charts_worth_seeing", lambda *_: [], *pages)
import_module("deployments.start" if find_spec("deployments.start") else "deployments.cli").main()
"""


@dataclass(frozen=True)
class Night:
    """What one run took; the memory is that of its largest process."""

    seconds: float
    processor_seconds: float
    megabytes: float


@dataclass(frozen=True)
class Version:
    """A checkout of the project, and the folder of its panels, store and Prefect files."""

    name: str
    checkout: Path
    folder: Path

    def run(self, panels: Path, mode: str, *, charts: bool) -> Night:
        """Run a night in a process of its own."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
            "PYTHONPATH": str(self.checkout),
            "PREFECT_HOME": str(self.folder / "prefect"),
            "GROWTH_NO_CHARTS": "" if charts else "1",
        }
        words = ["run", "growth", "--mode", mode, "--panels", str(panels)]
        python = sys.executable if self.checkout == HERE else self.checkout / ".venv" / "bin" / "python"
        command = [python, "-c", PROGRAM, *words, "--store", str(self.folder / "store")]
        start = time.perf_counter()
        with Path(self.folder / "run.log").open("wb") as log:
            # Elsewhere than in a checkout, whose modules might be imported in place of those of `PYTHONPATH`.
            process = subprocess.Popen(  # noqa: S603 - ours
                command, env=environment, cwd=self.folder, stdout=log, stderr=log
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{self.name}: exit code {process.returncode}\n{(self.folder / 'run.log').read_text()}")
        spent = usage.ru_utime + usage.ru_stime
        return Night(time.perf_counter() - start, spent, usage.ru_maxrss / 1024)


def nights(versions: Sequence[Version], series: int, *, charts: bool) -> dict[tuple[str, str], Night]:
    """Run the three nights of one panel with each version; the key is the night and the version."""
    panels, prices = (versions[0].folder.parent / name for name in ("panels", "prices"))
    for folder in (panels, prices, *(version.folder for version in versions)):
        folder.mkdir()
    (panels / "growth.toml").write_text(PANEL.format(uri=prices))
    table, found = closes(series, BARS + 1), {}
    is_new = table["ds"].to_numpy() == table["ds"].to_numpy().max()
    for night, mode in NIGHTS:
        if night == "first":
            pq.write_table(table.filter(~is_new), prices / "past.parquet")
        elif night == "second":
            pq.write_table(table.filter(is_new), prices / "new.parquet")
        for version in versions:
            one = found[night, version.name] = version.run(panels, mode, charts=charts)
            print(
                f"{series:8,}  {night:13}{version.name:6}{one.seconds:9.1f}"
                f"{one.processor_seconds:12.1f}{one.megabytes:9,.0f}",
                flush=True,
            )
    return found


def report(series: int, checkouts: dict[str, Path], *, charts: bool) -> dict[tuple[str, str], Night]:
    """Run and print the nights of one panel, and the ratios between the versions."""
    with tempfile.TemporaryDirectory() as folder:
        versions = [Version(name, path, Path(folder) / name) for name, path in checkouts.items()]
        found = nights(versions, series, charts=charts)
    if len(checkouts) > 1:
        for night, _ in NIGHTS:
            new, old = found[night, "now"], found[night, "then"]
            print(f"{series:8,}  {night:13}now / then {new.seconds / old.seconds:8.2f}")
        beyond = [_beyond(found, name) for name in ("now", "then")]
        print(f"{series:8,}  second night beyond nothing new, now / then {beyond[0] / beyond[1]:.2f}")
    return found


def _beyond(found: dict[tuple[str, str], Night], version: str) -> float:
    """The seconds of a second night beyond those of a night with nothing new."""
    return max(found["second", version].seconds - found["nothing new", version].seconds, 0.01)


def main() -> None:
    """Run the benchmark, and print the exponent of the growth from one number of series to the next."""
    parser = argparse.ArgumentParser()
    parser.add_argument("series", nargs="*", type=int, default=SERIES)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--no-charts", action="store_true")
    words = parser.parse_args()
    checkouts = {"now": HERE} | ({"then": words.against.resolve()} if words.against else {})
    print(f"{'series':>8}  {'night':13}{'':6}{'seconds':>9}{'processor s':>12}{'peak MB':>9}")
    found = {series: report(series, checkouts, charts=not words.no_charts) for series in words.series}
    for few, many in zip(words.series, words.series[1:], strict=False):
        ratio = _beyond(found[many], "now") / _beyond(found[few], "now")
        print(f"growth exponent {few:,} to {many:,}: {math.log(ratio) / math.log(many / few):.2f}")


if __name__ == "__main__":
    main()
