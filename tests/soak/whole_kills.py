"""Kills of whole nights: `nightcast run` with its temporary server and its training, at random moments."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from forecasting.errors import NightcastError, first_line
from forecasting.panel import Panel
from forecasting.publishing import reader
from forecasting.publishing.committed import check_forecasts
from forecasting.storage import Storage
from tests.conftest import TRAINED_PANEL, write_prices
from tests.processes import have_ended, kill_all, processes_with
from tests.soak.forks import run_fork
from tests.soak.kill_table import Kill
from tests.soak.small_nights import rows_of

NIGHTCAST = Path(sys.executable).parent / "nightcast"
WHOLE = "whole run"
_SECONDS = 300  # far more than a run takes


def make_whole_ground(folder: Path) -> float:
    """Run an undisturbed night, and on a copy the one that will be killed; return how long that takes."""
    first = folder / "whole"
    first.mkdir()
    (first / "tiny.toml").write_text(TRAINED_PANEL, encoding="utf-8")
    _write_source(first, 0)
    _finish(first)
    _write_source(first, 1)
    second = Path(shutil.copytree(first, folder / "undisturbed"))
    began = time.monotonic()
    _finish(second)
    seconds = time.monotonic() - began
    ended = run_fork(partial(_keep, second, folder / "whole_rows.json"))
    assert ended.code == 0, ended
    return seconds


def kill_whole_night(folder: Path, seconds: float, seed: tuple[int, int]) -> Kill:
    """Kill a run at a random moment of its `seconds`, and see what is left."""
    after = seconds * float(np.random.default_rng(seed).uniform(0.05, 0.98))
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        case = Path(shutil.copytree(folder / "whole", Path(temporary) / "case"))
        home = f"{case}/prefect"
        while True:
            process = _start(case)
            try:
                process.wait(after)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                break
            shutil.rmtree(case)
            shutil.copytree(folder / "whole", case)
            after *= 0.7
        have_ended("PREFECT_HOME", home)
        orphans = len(processes_with("PREFECT_HOME", home))
        kill_all("PREFECT_HOME", home)
        left = _folders_in(case)
        torn = _ask(case, partial(_read, case))
        again = _finish(case, check=False)
        rows = _ask(case, partial(_compare, case, folder / "whole_rows.json"))
        return Kill(
            WHOLE,
            lost=rows.get("lost", 0),
            doubled=rows.get("doubled", 0),
            torn=torn.get("failed", ""),
            stuck=again or rows.get("failed", ""),
            orphans=orphans + len(processes_with("PREFECT_HOME", home)),
            left=left,
            kept=_folders_in(case),
        )


def _write_source(folder: Path, number: int) -> None:
    count = 400 + number
    write_prices(
        folder / "prices.csv",
        {"AAA": count, "BBB": count, "C/C": count},
        last=str(np.datetime64("2026-10-01") + number),
    )


def _start(folder: Path) -> subprocess.Popen[bytes]:
    (folder / "tmp").mkdir(exist_ok=True)
    environment = {**os.environ, "PREFECT_HOME": f"{folder}/prefect", "TMPDIR": str(folder / "tmp")}
    environment.pop("PREFECT_API_URL", None)
    with (folder / "lines.txt").open("wb") as lines:
        return subprocess.Popen(
            [NIGHTCAST, "run", "tiny.toml", "--mode", "retrain"],
            cwd=folder,
            env=environment,
            stdout=lines,
            stderr=lines,
        )


def _finish(folder: Path, *, check: bool = True) -> str:
    """Run to the end; return the last line if the run fails."""
    process = _start(folder)
    try:
        code = process.wait(_SECONDS)
    finally:
        process.kill()
    line = (folder / "lines.txt").read_text().strip().rpartition("\n")[2]
    assert not (check and code), line
    return line if code else ""


def _folders_in(folder: Path) -> int:
    folders = {path.name for path in (folder / "tmp").glob("nightcast-*")}
    return len(folders - {f"nightcast-trainings-{os.getuid()}"})  # which stays, and is one for all runs


def _keep(folder: Path, file: Path) -> None:
    file.write_text(json.dumps(rows_of(Storage(str(folder / "store")), ("prices", "quarantine"))))


def _ask(folder: Path, question: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    answer = folder / "answer.json"

    def write() -> None:
        answer.write_text(json.dumps(question()))

    answer.unlink(missing_ok=True)
    ended = run_fork(write)
    if ended.code:
        return {"failed": f"exit code {ended.code}"}
    found: dict[str, Any] = json.loads(answer.read_text())
    return found


def _read(folder: Path) -> dict[str, Any]:
    try:
        reader.latest("tiny", str(folder / "store"))
        check_forecasts(Panel.load(folder / "tiny.toml"), Storage(str(folder / "store")))
    except NightcastError as error:
        return {"failed": first_line(error)}
    return {}


def _compare(folder: Path, kept: Path) -> dict[str, Any]:
    wanted = Counter(json.loads(kept.read_text()))
    rows = rows_of(Storage(str(folder / "store")), ("prices", "quarantine"))
    newest = str(reader.latest("tiny", str(folder / "store"))["cutoff"].max())[:10]
    failed = "" if newest == "2026-10-02" else f"the newest forecast knows {newest}"
    return {"lost": (wanted - rows).total(), "doubled": (rows - wanted).total(), "failed": failed}
