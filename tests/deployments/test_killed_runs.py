"""`kill -9` of `nightcast run` at several moments: its processes end with it, and the next run tidies up."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import TRAINED_PANEL
from tests.prefect_home import used_home
from tests.processes import have_ended, kill_all, processes_with

NIGHTCAST = Path(sys.executable).parent / "nightcast"
SECONDS = 240  # far more than any step needs, on a busy machine too


@contextmanager
def run_until(panel: Path, moment: str) -> Iterator[None]:
    """Run the panel until it prints `moment`, and kill it at the end of this context."""
    folder = panel.parent
    (folder / "tmp").mkdir(exist_ok=True)
    environment = {**os.environ, "PREFECT_HOME": used_home(folder / "prefect"), "TMPDIR": str(folder / "tmp")}
    environment.pop("PREFECT_API_URL", None)
    out = folder / "out.txt"
    with out.open("wb") as lines:
        process = subprocess.Popen(
            [NIGHTCAST, "run", panel.name], cwd=folder, env=environment, stdout=lines, stderr=lines
        )
    try:
        for _ in range(SECONDS * 10):
            if moment in out.read_text():
                break
            assert process.poll() is None, out.read_text()
            time.sleep(0.1)
        else:
            raise TimeoutError(f"no {moment!r} in {out.read_text()}")
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def long_panel(tiny_panel: Path) -> Iterator[Path]:
    """A panel that trains for hours; processes that a test leaves behind are killed at its end."""
    long = TRAINED_PANEL.replace("training_steps = 20", "training_steps = 1000000")
    tiny_panel.write_text(long, encoding="utf-8")
    yield tiny_panel
    kill_all("PREFECT_HOME", f"{tiny_panel.parent}/prefect")


@pytest.mark.parametrize("moment", ["starting a temporary server", "ingest:"])
def test_the_temporary_server_ends_with_a_killed_run(long_panel: Path, moment: str) -> None:
    home = f"{long_panel.parent}/prefect"
    with run_until(long_panel, moment):
        for _ in range(100):  # the server's process begins after the line
            if len(processes_with("PREFECT_HOME", home)) > 1:
                break
            time.sleep(0.1)
        assert len(processes_with("PREFECT_HOME", home)) > 1
    assert have_ended("PREFECT_HOME", home)


def test_a_killed_training_leaves_no_process_and_the_next_run_removes_its_folder(long_panel: Path) -> None:
    folder, home = long_panel.parent / "tmp", f"{long_panel.parent}/prefect"
    places = folder / f"nightcast-trainings-{os.getuid()}"  # stays, for all trainings
    with run_until(long_panel, "training: step"):
        (left,) = set(folder.iterdir()) - {places}
    assert have_ended("PREFECT_HOME", home)
    assert left.name.startswith("nightcast-training-")
    assert set(folder.iterdir()) == {left, places}
    with run_until(long_panel, "ingest:"):
        assert not left.exists()
    assert have_ended("PREFECT_HOME", home)
