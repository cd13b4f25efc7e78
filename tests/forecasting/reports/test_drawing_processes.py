"""Processes that draw. Each takes a second or two to start, so there are few of them here."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from forecasting.child_process import SAFE_PATH
from forecasting.errors import DrawingError
from forecasting.reports import drawing_processes
from forecasting.reports.charts import SeriesChart, draw_series
from forecasting.reports.drawing_processes import draw_charts
from tests.processes import have_ended, kill_all, processes_with
from tests.series_charts import series_chart

ROOT = Path(__file__).parents[3]
VARIABLE = "NIGHTCAST_TEST_OF_DRAWING"
PARENT = """
import os
from forecasting.reports import drawing_processes
from tests.series_charts import series_chart

os.cpu_count = lambda: 2
drawing_processes.MANY = 1
for _ in drawing_processes.draw_charts([series_chart()] * 500, lambda unique_id, png: None):
    print("drawn", flush=True)
"""


def charts(count: int) -> list[SeriesChart]:
    return [replace(series_chart(level=1 + number), unique_id=f"S{number}") for number in range(count)]


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The value of a variable that processes started in this test have."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    yield str(tmp_path)
    kill_all(VARIABLE, str(tmp_path))


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of charts is drawn in two processes."""
    monkeypatch.setattr(drawing_processes, "MANY", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.mark.usefixtures("two_cores")
def test_processes_draw_the_same_pictures_and_end(ours: str) -> None:
    wanted, kept = charts(5), {}
    drawn = draw_charts(wanted, kept.__setitem__)
    names = [next(drawn)]
    assert len(processes_with(VARIABLE, ours)) == 2
    names += drawn
    assert names == ["S0", "S1", "S2", "S3", "S4"]
    assert kept == {chart.unique_id: draw_series(chart) for chart in wanted}
    assert processes_with(VARIABLE, ours) == []


def test_a_few_are_drawn_in_this_process(ours: str) -> None:
    kept: dict[str, bytes] = {}
    drawn = draw_charts(charts(2), kept.__setitem__)
    assert (next(drawn), list(kept), processes_with(VARIABLE, ours)) == ("S0", ["S0"], [])


@pytest.mark.usefixtures("two_cores")
def test_a_process_that_is_killed_is_a_plain_error(ours: str) -> None:
    drawn = draw_charts(charts(50), lambda _, __: kill_all(VARIABLE, ours))
    with pytest.raises(DrawingError, match=r"of panel ecb_fx failed: its process died with exit code -9; "):
        list(drawn)
    assert processes_with(VARIABLE, ours) == []


@pytest.mark.usefixtures("ours")
def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"drawn\n"
        assert len(processes_with(VARIABLE, str(tmp_path))) == 3
        parent.kill()
    assert have_ended(VARIABLE, str(tmp_path))


def test_a_process_that_draws_imports_no_tensorflow_and_no_prefect() -> None:
    program = "import json, sys, forecasting.reports.drawing_process; print(json.dumps(list(sys.modules)))"
    found = subprocess.run([sys.executable, SAFE_PATH, "-c", program], check=True, capture_output=True)
    needless = {"tensorflow", "keras", "prefect", "pandas", "pyarrow", "obstore", "exchange_calendars"}
    assert needless & set(json.loads(found.stdout)) == set()
