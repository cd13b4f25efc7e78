"""A server that dies or restarts while a flow runs in this process."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.prefect_server import free_port, prefect_server, wait_for

SECONDS = 240  # far more than any step needs, on a busy machine too

_PROGRAM = """
import sys, time
from pathlib import Path
from deployments.server_watch import ending_without_server

def stop_children():
    Path("stopped").touch()

with ending_without_server(lambda: sys.argv[1], "start it", stop_children, patience=float(sys.argv[2])):
    time.sleep(6)  # the watch looks every two seconds
    print("at work", flush=True)
    while not Path("done").exists():
        time.sleep(0.1)
print("after", flush=True)
"""


@contextmanager
def program(folder: Path, api: str, patience: float) -> Iterator["subprocess.Popen[str]"]:
    (folder / "program.py").write_text(_PROGRAM, encoding="utf-8")
    words = [sys.executable, "-P", "program.py", api, str(patience)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=folder, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_server_that_dies_ends_the_process_with_one_line(tmp_path: Path) -> None:
    with prefect_server(tmp_path) as server, program(tmp_path, server.api, 5) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        server.kill()
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (1, "")
    assert err == (
        f"nightcast: the Prefect server {server.api} has not answered for 5 s, and the run was given up; "
        "start it\n"
    )
    assert (tmp_path / "stopped").exists()


@contextmanager
def web_server(folder: Path, port: int) -> Iterator[None]:
    """It answers, if only with 404."""
    words = [
        sys.executable,
        "-m",
        "http.server",
        str(port),
        "--bind",
        "127.0.0.1",
        "--directory",
        str(folder),
    ]
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(words, cwd=folder, stdout=nowhere, stderr=nowhere) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/")
            yield
        finally:
            server.kill()


@pytest.mark.parametrize("starts", [2, 0], ids=["restarts", "was never reached"])
def test_a_server_that_comes_back_or_was_never_there_ends_nothing(tmp_path: Path, starts: int) -> None:
    port = free_port()
    with program(tmp_path, f"http://127.0.0.1:{port}/api", SECONDS if starts else 1) as process:
        for _ in range(starts):
            with web_server(tmp_path, port):
                pass
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        (tmp_path / "done").touch()
        assert process.communicate(timeout=SECONDS) == ("after\n", "")
    assert process.returncode == 0
