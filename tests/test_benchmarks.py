"""Every benchmark runs, on a small case, and prints a ratio. Its figures mean nothing there."""

import importlib
import io
import json
import re
import runpy
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest

from deployments.environment import BUNDLED_PANELS
from forecasting.models.pretraining import Recipe
from tests.conftest import SAMPLES

FOLDER = Path(__file__).parent.parent / "benchmarks"


def measured_here(module: str, part: str, *words: object) -> tuple[float, float]:
    """What `measured` does in a process of its own, which takes two seconds to start. One case keeps it."""
    printed = io.StringIO()
    with patch("sys.argv", [module, part, *map(str, words)]), redirect_stdout(printed):
        runpy.run_path(str(FOLDER / f"{module.rpartition('.')[2]}.py"), run_name="__main__")
    seconds, megabytes = json.loads(printed.getvalue().splitlines()[-1])
    return seconds, megabytes


# What makes a benchmark's case small.
SMALL: dict[str, dict[str, object]] = {
    "audit": {"SIZES": ((5, 300),), "REPEATS": 1},
    "big_panel": {"SERIES": 20, "PARTS": ("train", "windows"), "measured": measured_here},
    "charts": {"ROUNDS": 1, "MANY": 2},
    "first_night": {"REPEATS": 1, "SCRATCH": {"training_steps": 20}},
    "forecasting": {"WINDOWS": 50, "ROUNDS": 1},
    # Without the nights themselves: one takes twenty seconds of processor time.
    "growth": {"SERIES": (3,), "BARS": 5, "PROGRAM": ""},
    "nothing_new": {},
    "pretraining": {"REPEATS": 1, "ROUNDS": 2, "Recipe": partial(Recipe, series=20)},
    "prices_ingest": {
        "SERIES": 5,
        "BARS": 100,
        "MANY_SERIES": 10,
        "FEW_BARS": 20,
        "REPEATS": 1,
        "measured": measured_here,
    },
    "prices_nightly": {"SERIES": 5, "YEAR": 20, "REPEATS": 1, "measured": measured_here},
    "prices_read": {"SERIES": 5, "BARS": 100, "REPEATS": 1, "TIMES": 1},
    "report_page": {"SIZES": (3, 250), "TIMES": 1},
    "scoring": {"SERIES": 3, "REPEATS": 1},
    "training": {
        "REPEATS": 1,
        "STEPS": 60,
        "BATCH": 32,
        "ProcessPoolExecutor": lambda workers, _: ThreadPoolExecutor(workers),
    },
    "windows": {"BATCHES": 1, "REPEATS": 1},
}


SERIES, BARS = 6, 1500


@pytest.fixture(scope="module")
def panels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundled panel over the last bars of a few of its series."""
    folder = tmp_path_factory.mktemp("panels")
    with zipfile.ZipFile(SAMPLES / "eurofxref-hist.zip") as archive:
        lines = archive.read("eurofxref-hist.csv").decode().splitlines()
    header, *rows = [line.split(",") for line in lines[: BARS + 1]]
    whole = [column for column in range(1, len(header) - 1) if "N/A" not in [row[column] for row in rows]]
    kept = [0, *whole[:SERIES]]
    few = [",".join(row[column] for column in kept) for row in (header, *rows)]
    (folder / "few.csv").write_text("\n".join(few) + "\n", encoding="utf-8")
    text = (BUNDLED_PANELS / "ecb_fx.toml").read_text(encoding="utf-8")
    assert "../../samples/eurofxref-hist.zip" in text
    text = text.replace("../../samples/eurofxref-hist.zip", "few.csv")
    (folder / "ecb_fx.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("[a-z]*.py")))
def test_a_small_case_prints_what_was_measured(
    name: str, panels: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NIGHTCAST_PANELS", str(panels))
    module = importlib.import_module(f"benchmarks.{name}")
    for constant, value in SMALL[name].items():
        monkeypatch.setattr(module, constant, value)
    monkeypatch.setattr("sys.argv", [name])
    module.main()
    assert re.search(r"\d", capfd.readouterr().out)
