"""Tasks in processes of their own, on a real Prefect server: one that dies, and one whose parent does.

Each test starts a program: the threads of a process pool see the environment's settings, not a test's.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile import write_hostile_modules
from tests.prefect_server import PrefectServer

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, os, signal, sys, time
from pathlib import Path
from prefect import flow, task
from tasks.processes import task_processes

@task
def whose_process(dies):
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()

@task
def say_and_sleep(path):
    Path(path).write_text(f"{os.getpid()}\\n")
    time.sleep(600)

@flow
def work(count, deaths):
    with task_processes(count) as start:
        states = [start(whose_process, dies=dies)() for dies in deaths]
    return [(state.type.value, str(state.result(raise_on_failure=False))) for state in states]

@flow
def sleep_beside(path):
    with task_processes(2) as start:
        start(say_and_sleep, path=path)()

if __name__ == "__main__":
    if len(sys.argv) > 1:
        sleep_beside(sys.argv[1])
    else:
        print(json.dumps([os.getpid(), *work(1, [False]), *work(2, [True, False])]))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


def start(
    program: Path, server: PrefectServer, *words: str, cwd: Path | None = None
) -> subprocess.Popen[str]:
    environment = {**os.environ, **server.environment, "PYTHONPATH": str(ROOT)}
    with program.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, program, *words],
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )


def wait_until(happened: Callable[[], bool]) -> None:
    for _ in range(600):
        if happened():
            return
        time.sleep(0.1)
    raise TimeoutError


def test_one_that_dies_is_a_crash_and_the_next_task_has_another(program: Path, server: PrefectServer) -> None:
    out, _ = start(program, server).communicate(timeout=120)
    parent, (_, alone), (crashed, error), (completed, process) = json.loads(out.splitlines()[-1])
    assert alone == str(parent)
    assert (crashed, completed) == ("CRASHED", "COMPLETED")
    assert "the task's process died" in error
    assert process != str(parent)


def test_they_do_not_import_from_the_working_directory(
    program: Path, server: PrefectServer, tmp_path: Path
) -> None:
    folder = tmp_path / "cwd"
    folder.mkdir()
    write_hostile_modules(folder)
    out, _ = start(program, server, cwd=folder).communicate(timeout=120)
    states = [state for state, _ in json.loads(out.splitlines()[-1])[1:]]
    assert states == ["COMPLETED", "CRASHED", "COMPLETED"]


def test_they_end_with_their_parent(program: Path, server: PrefectServer, tmp_path: Path) -> None:
    said = tmp_path / "said"
    with start(program, server, str(said)) as parent:
        try:
            wait_until(lambda: said.is_file() and said.read_text().endswith("\n"))
        finally:
            parent.kill()
    child = Path("/proc") / said.read_text().strip()
    wait_until(lambda: not child.exists())
