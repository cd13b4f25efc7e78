"""Nights: a hundred nights of one panel in one process, under a clock that is moved on.

Run it all with `make soak`. The nightly flow runs against a Prefect server, with one more bar each night, and
maintenance each week. The table shows what grows. Then `nightcast serve` runs some nights, each in a process
that ends with it: what lasts there are `serve` itself and its server.
"""

import argparse
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from deployments import environment
from tests.conftest import write_prices
from tests.prefect_server import PrefectServer, free_port, prefect_server
from tests.serve_process import serve
from tests.soak.clock import age_server, age_store, movable_clock

SEED = 0  # of the prices: see `write_prices`
NIGHTS = 100
SERVED = 8
PANEL = """\
name = "tiny"
[source]
uri = "prices.csv"
[forecast]
horizon = 5
[schedule]
cron = "0 0 29 2 *" # by hand
[retention]
forecast_days = 14
superseded_days = 2
model_days = 14
"""
KEEP_RUNS_DAYS = 14
# From which nights on the slopes are taken: caches are full; retention removes as much as is added.
STEADY = (20, 50)
BARS = 400
_WEEK = 7
_EXPLAINED = """\
threads: every tenth night 12 s later, since deltalake and obstore keep idle threads for ten seconds
files: forecasts and models are kept 14 days, and up to a week more; a commit of a table is a file of its log
  until 30 days after the table's next hundredth commit; decisions are never removed"""
EVERY = 10
# `deltalake` and `obstore` end their idle threads after ten seconds. Nights are further apart than these.
_IDLE_SECONDS = 12


@dataclass(frozen=True)
class Size:
    """What there is after a night.

    Attributes:
        memory: MB of the process.
        threads: of the process.
        open_files: of the process.
        store: MB in the store.
        files: number of files in the store.
        database: MB of Prefect's database.
        server: MB of memory of Prefect's server.
    """

    memory: float
    threads: int
    open_files: int
    store: float
    files: int
    database: float = 0.0
    server: float = 0.0


def run_nights(
    folder: Path,
    count: int,
    night: Callable[[int], object],
    server: PrefectServer | None = None,
    bars: int = BARS,
) -> Iterator[Size]:
    """Run so many nights of the panel in the folder, the last of them yesterday's; yield the size after each.

    The source has `bars` bars of each series in the last night.
    """
    today = datetime.now(UTC).replace(hour=6, minute=0, second=0, microsecond=0)
    with movable_clock() as set_clock:
        for number in range(count):
            left = count - 1 - number
            at, began = today - timedelta(days=left + 1), time.time()
            _write_source(folder, bars - left, at - timedelta(days=1))
            set_clock(at)
            night(number)
            age_store(folder / "store", began, at)
            if server is not None:
                age_server(folder / "prefect" / "prefect.db")
                if number % EVERY == EVERY - 1:
                    time.sleep(_IDLE_SECONDS)
            yield _measure(folder, server)


def _write_source(folder: Path, bars: int, last: datetime) -> None:
    write_prices(folder / "prices.csv", dict.fromkeys(("AAA", "BBB", "C/C"), bars), last=f"{last:%Y-%m-%d}")


def _measure(folder: Path, server: PrefectServer | None) -> Size:
    files = [file.stat().st_size for file in (folder / "store").rglob("*") if file.is_file()]
    store = (sum(files) / 1e6, len(files))
    if server is None:
        return Size(*process_size(), *store)
    return Size(*process_size(), *store, _database_size(folder), process_size(server.process.pid)[0])


def process_size(process: int | str = "self") -> tuple[float, int, int]:
    """The memory (MB), the threads and the open files of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    memory, threads = (int(status[name].split()[0]) for name in ("VmRSS", "Threads"))
    return memory / 1024, threads, len([*Path(f"/proc/{process}/fd").iterdir()])


def _database_size(folder: Path) -> float:
    return sum(file.stat().st_size for file in (folder / "prefect").glob("prefect.db*")) / 1e6


def flow_night(folder: Path) -> Callable[[int], None]:
    """The nightly flow, and each week maintenance, in this process. Prefect must know its server by now."""
    nights, weeks = importlib.import_module("flows.nightly"), importlib.import_module("flows.maintenance")
    importlib.import_module("forecasting.reports.gallery")  # else it would be imported with the real clock
    importlib.import_module("forecasting.reports.score_charts")
    nights.flow_run = SimpleNamespace(scheduled_start_time=None)  # by the real clock
    place = {"store": str(folder / "store"), "panels": str(folder)}

    def night(number: int) -> None:
        nights.nightly(panel="tiny", **place)
        if number % _WEEK == _WEEK - 1:
            weeks.maintenance(keep_runs_days=KEEP_RUNS_DAYS, **place)

    return night


def serve_nights(folder: Path, count: int) -> Iterator[tuple[float, int, int, float]]:
    """Run nights in `nightcast serve`; yield its memory, threads and open files, and its server's memory."""
    panels = folder / "panels"
    panels.mkdir()
    (panels / "tiny.toml").write_text(PANEL, encoding="utf-8")
    _write_source(panels, BARS - count, datetime.now(UTC) - timedelta(days=count + 1))
    with serve(folder, free_port(), 1) as serving:
        serving.wait_for("serving ")
        deployment = serving.nightly()
        for left in reversed(range(count)):
            _write_source(panels, BARS - left, datetime.now(UTC) - timedelta(days=left + 1))
            serving.ask(f"deployments/{deployment['id']}/create_flow_run")
            serving.wait_for(": completed after", times=count - left)
            own = serving.process.pid
            children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
            yield (*process_size(own), max(process_size(int(one))[0] for one in children))


def slopes(sizes: Sequence[Size], since: int) -> list[float]:
    """By how much each figure grows a night from that night on, by every tenth night."""
    nights = np.arange(since, len(sizes) + 1, EVERY)
    figures = np.array([astuple(sizes[night - 1]) for night in nights])
    return [float(one) for one in np.polyfit(nights, figures, 1)[0]]


def print_sizes(sizes: Sequence[Size]) -> None:
    """Print every tenth night, and the slopes."""
    print(f"{'night':>16}  " + "  ".join(f"{field.name:>10}" for field in fields(Size)))
    rows: dict[str, Sequence[float]] = {
        str(number): astuple(size)
        for number, size in enumerate(sizes, start=1)
        if number % EVERY == 0 or number == 1
    }
    rows |= {f"a night from {since}": slopes(sizes, since) for since in STEADY if len(sizes) >= since + EVERY}
    for head, row in rows.items():
        print(f"{head:>16}  " + "  ".join(f"{figure:10.3f}" for figure in row))


def main() -> None:
    """Run the nights, print the table; then the nights of `nightcast serve`."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--nights", type=int, default=NIGHTS)
    options.add_argument("--served", type=int, default=SERVED)
    given = options.parse_args()
    print(f"seed {SEED}", flush=True)
    environment.prepare()
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "ERROR"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # The server looks each hour for old events; here an hour lasts less than a night.
        with prefect_server(folder, PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS="5") as server:
            os.environ.update(server.environment)
            (folder / "tiny.toml").write_text(PANEL, encoding="utf-8")
            sizes = []
            for size in run_nights(folder, given.nights, flow_night(folder), server):
                sizes.append(size)
                if len(sizes) % EVERY == 0:
                    print(f"night {len(sizes)} of {given.nights}", file=sys.stderr, flush=True)
        print_sizes(sizes)
        print(_EXPLAINED, flush=True)
    for name in server.environment:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as temporary:
        print("nightcast serve:    memory  threads  open files  memory of its server")
        for number, found in enumerate(serve_nights(Path(temporary), given.served), start=1):
            print(f"night {number:9}  {found[0]:10.1f}  {found[1]:7}  {found[2]:10}  {found[3]:10.1f}")


if __name__ == "__main__":
    main()
