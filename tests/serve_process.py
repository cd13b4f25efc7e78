"""A process of `nightcast serve`, as a person starts it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.hostile import write_hostile_modules
from tests.prefect_home import used_home

NIGHTCAST = Path(sys.executable).parent / "nightcast"
SECONDS = 240  # far more than any step needs, on a busy machine too


@dataclass
class Serve:
    """A process of it, and what it has printed so far."""

    process: subprocess.Popen[bytes]
    output: Path
    api: str

    def wait_for(self, text: str, times: int = 1) -> None:
        for _ in range(SECONDS * 5):
            if self.output.read_text().count(text) >= times:
                return
            assert self.process.poll() is None, self.output.read_text()
            time.sleep(0.2)
        raise TimeoutError(f"no {text!r} in {self.output.read_text()}")

    def read(self, kind: str, **wanted: Any) -> list[dict[str, Any]]:
        return httpx.post(f"{self.api}/{kind}/filter", json=wanted).raise_for_status().json()

    def nightly(self, panel: str = "tiny") -> dict[str, Any]:
        """The deployment of the panel's nightly run."""
        found = self.read(
            "deployments", flows={"name": {"any_": ["nightly"]}}, deployments={"name": {"any_": [panel]}}
        )
        (only,) = found
        return only

    def runs(self, deployment: dict[str, Any]) -> list[dict[str, Any]]:
        return self.read("flow_runs", deployments={"id": {"any_": [deployment["id"]]}})

    def ask(self, path: str, **wanted: Any) -> dict[str, Any]:
        """POST; the server is busy now and then, while its scheduler makes the first runs."""
        for _ in range(50):
            answer = httpx.post(f"{self.api}/{path}", json=wanted)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(0.2)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found


@contextmanager
def serve(folder: Path, port: int, number: int) -> Iterator[Serve]:
    write_hostile_modules(folder)  # neither the server nor the runs may import them
    output = folder / f"serve-{number}.txt"
    with output.open("wb") as lines:
        process = subprocess.Popen(
            [NIGHTCAST, "serve", "--panels", "panels", "--store", "store", "--port", str(port)],
            cwd=folder,
            env={**os.environ, "PREFECT_HOME": used_home(folder / "prefect"), "HOME": str(folder)},
            stdout=lines,
            stderr=lines,
        )
        try:
            yield Serve(process, output, f"http://127.0.0.1:{port}/api")
        finally:
            process.kill()
            process.wait()


def processes_of(folder: Path) -> list[str]:
    """What of this test's still runs."""
    mark = f"PREFECT_HOME={folder / 'prefect'}".encode()
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in file.read_bytes().split(b"\0"):
                found.append(file.with_name("cmdline").read_text())
        except OSError:  # it has ended
            continue
    return found


def wait_until_nothing_runs(folder: Path) -> None:
    for _ in range(600):  # a run that outlives the kill ends by itself
        if not processes_of(folder):
            return
        time.sleep(0.1)
    raise TimeoutError(f"still running after 60 s: {processes_of(folder)}")
