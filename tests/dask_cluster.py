"""A real Dask cluster on loopback: a scheduler and workers, each a process of its own."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from distributed import Client

from tests.prefect_server import free_port

_DASK = str(Path(sys.executable).parent / "dask")
_SECONDS = 120
_LOG = "dask.log"


@dataclass(frozen=True)
class DaskCluster:
    """Where the scheduler answers, and the workers by name."""

    address: str
    workers: dict[str, "subprocess.Popen[bytes]"]

    @contextmanager
    def watched(self) -> Iterator[Counter[str]]:
        """Count the tasks that the workers get meanwhile, by name."""
        found, seen, ended = Counter[str](), set[str](), threading.Event()

        def watch() -> None:
            with Client(self.address, set_as_default=False) as client:
                while not ended.wait(0.01):
                    seen.update(key for keys in client.processing().values() for key in keys)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield found
        finally:
            ended.set()
            watcher.join()
            found.update(key.rpartition("-")[0] for key in seen)

    def kill_when_busy(self, name: str, work: str) -> bool:
        """Kill a worker as soon as it works on a task whose key starts with `work`; whether it did so."""
        with Client(self.address, set_as_default=False) as client:
            places = {one["name"]: at for at, one in client.scheduler_info(n_workers=-1)["workers"].items()}
            end = time.monotonic() + _SECONDS
            while time.monotonic() < end:
                if any(key.startswith(work) for key in client.processing().get(places[name], ())):
                    self.workers[name].kill()
                    return True
                time.sleep(0.01)
        return False


@contextmanager
def dask_cluster(folder: Path, workers: int = 2) -> Iterator[DaskCluster]:
    """Start a cluster that keeps its files in `folder`; end it at the end."""
    address = f"tcp://127.0.0.1:{free_port()}"
    quiet = ["--no-dashboard"]
    scheduler = _start(
        folder, "scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], *quiet
    )
    started = {}
    try:
        for number in range(workers):
            name = f"worker-{number}"
            words = ["--name", name, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1", *quiet]
            started[name] = _start(folder, "worker", address, "--local-directory", str(folder), *words)
        with Client(address, timeout=_SECONDS, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=_SECONDS)
        yield DaskCluster(address, started)
    finally:
        for process in (*started.values(), scheduler):
            process.kill()
            process.wait()


def _start(folder: Path, *words: str) -> "subprocess.Popen[bytes]":
    with (folder / _LOG).open("ab") as log:
        return subprocess.Popen([_DASK, *words], stdout=log, stderr=log, cwd=folder)
