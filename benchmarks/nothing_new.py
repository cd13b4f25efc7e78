"""A `load` run with nothing new to do, without Prefect, against reading the source."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from benchmarks._ecb import ecb_panel
from forecasting.as_of import to_instant
from forecasting.night import make_forecast
from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.prices.snapshot import take_snapshot
from forecasting.progress import silent
from forecasting.publishing.forecast import address_of
from forecasting.publishing.publish import find_whole, point_latest
from forecasting.reports.summary import charts_worth_seeing, series_rows, summary_lines
from forecasting.selection.challenger import load_decision, plan_training, retrain
from forecasting.storage import Storage

NOW = datetime(2026, 10, 31, tzinfo=UTC)
TARGET_SECONDS = 2.0


class Clock:
    """Measures named steps, and prints the seconds of each."""

    def __init__(self) -> None:
        self.total = 0.0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure the seconds of the `with` block."""
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.total += seconds
        print(f"{name:36}{seconds:6.3f} s", flush=True)


def first_night(panel: Panel, storage: Storage) -> None:
    """Train briefly and publish, so that the next run has nothing to do."""
    ingested = ingest(panel, storage, to_instant(NOW))
    snapshot = take_snapshot(panel, storage, None, NOW)
    decision = retrain(panel, storage, snapshot, plan_training(panel, storage, snapshot), silent)
    make_forecast(panel, storage, snapshot, decision, ingested.findings)


def second_night(panel: Panel, storage: Storage) -> float:
    """Run the same night again, in the steps of `flows/nightly.py`, and return the seconds."""
    clock = Clock()
    with clock.step("ingest prices"):
        ingest(panel, storage, to_instant(NOW))
    with clock.step("audit prices"):
        snapshot = take_snapshot(panel, storage, None, NOW)
    with clock.step("plan windows"):
        plan_training(panel, storage, snapshot)
    with clock.step("load model"):
        decision = load_decision(panel, storage, snapshot.as_of)
    with clock.step("look for this forecast"):
        address = address_of(panel, snapshot, decision)
        manifest = find_whole(storage, address)
        assert manifest is not None, "the first night published another forecast"
        point_latest(storage, manifest)
    with clock.step("summarise"):
        charts_worth_seeing(storage, manifest)
        summary_lines(storage, manifest)
        series_rows(storage, manifest)
    return clock.total


def timed_night(root: Path) -> None:
    """Print the seconds of the second night, and their ratio to reading the source.

    For a process of its own, as `nightcast run` is: nothing is imported before, and no calendar built.
    """
    imports = time.process_time()
    panel = Panel.model_validate_json((root / "panel.json").read_text())
    total = second_night(panel, Storage(str(root / "store")))
    assert "tensorflow" not in sys.modules, "a night with nothing new imports TensorFlow"
    start = time.perf_counter()
    pd.read_csv(panel.source.uri, na_values=list(panel.source.na_values))
    alone = time.perf_counter() - start
    print(f"{'in all':36}{total:6.3f} s   (target: under {TARGET_SECONDS:g} s)")
    print(f"{'besides, Python and its imports':36}{imports:6.3f} s of processor time")
    print(f"{'reading the source with pandas':36}{alone:6.3f} s")
    print(f"{'in all / reading the source':36}{total / alone:6.1f} x")


def main() -> None:
    """Create a store with a first night, then measure the second night."""
    if len(sys.argv) > 1:
        timed_night(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory(prefix="nightcast-bench-") as name:
        root = Path(name)
        panel = ecb_panel(training_steps=20)
        (root / "panel.json").write_text(panel.model_dump_json())
        first_night(panel, Storage(str(root / "store")))
        subprocess.run([sys.executable, "-m", "benchmarks.nothing_new", name], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
