"""Synthetic prices, and measurements in separate processes, for the benchmarks of prices."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from forecasting.panel import Panel
from forecasting.prices.schema import INSTANT

FIRST_DAY = np.datetime64("2020-01-01", "us")
DAY = np.timedelta64(1, "D")


def daily_panel(uri: str | Path) -> Panel:
    """Create a panel of daily bars, seven days a week, from a long file."""
    return Panel.model_validate({"name": "bench", "source": {"uri": str(uri)}})


def closes(series: int, bars: int, first: int = 0) -> pa.Table:
    """Create closes of `series` series, sorted by series and time; `first` is the day of the first bar."""
    days = FIRST_DAY + (first + np.arange(bars)) * DAY
    ids = np.array([f"S{number:06}" for number in range(series)])
    steps = np.random.default_rng(first).normal(0, 0.01, (series, bars))
    return pa.table(
        {
            "unique_id": pa.array(np.repeat(ids, bars)),
            "ds": pa.array(np.tile(days, series)).cast(INSTANT),
            "close": np.round(100 * np.exp(steps.cumsum(axis=1)).ravel(), 4),
        }
    )


def measured(module: str, part: str, *words: object) -> tuple[float, float]:
    """Run a part of `module` in a process; return its seconds and the process' peak memory in MB."""
    command = [sys.executable, "-m", module, part, *map(str, words)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - a benchmark of ours
    seconds, megabytes = json.loads(output.splitlines()[-1])
    return seconds, megabytes


def run_part(work: Callable[[], object], times: int = 1) -> None:
    """Do the work `times` times, and print the fastest time and the peak memory for `measured`.

    The peak memory is that of this process or of its largest child.
    """
    seconds = min(_seconds(work) for _ in range(times))
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps([seconds, peak / 1024]))


def start(main: Callable[[], None], parts: Mapping[str, Callable[..., object]], times: int = 1) -> None:
    """Run the whole benchmark, or the part that the command line names.

    A part gets the folder and the numbers after its name, and runs `times` times unless it writes.
    """
    if len(sys.argv) == 1:
        main()
        return
    part, folder, *numbers = sys.argv[1:]
    work = {**parts, "nothing": lambda *_: None}[part]
    run_part(lambda: work(folder, *map(int, numbers)), 1 if part == "write" else times)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
