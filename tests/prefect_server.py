"""A real Prefect server, with its UI and services, in a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.prefect_home import used_home

_BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class PrefectServer:
    """Where a server answers, and the environment for a process that is to use it."""

    address: str
    environment: dict[str, str]
    process: "subprocess.Popen[bytes]"

    @property
    def api(self) -> str:
        return f"{self.address}/api"

    def kill(self) -> None:
        """End it as the machine would that runs out of memory."""
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def prefect_server(folder: Path, port: int | None = None, **settings: str) -> Iterator[PrefectServer]:
    """Start one that keeps its data in `folder`, with more Prefect settings; stop it at the end."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    shared = {
        "PREFECT_HOME": used_home(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",
        **settings,
    }
    command = [
        str(_BIN / "prefect"),
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    environment = {**os.environ, **shared}
    environment.pop("PREFECT_API_URL", None)
    with (
        (folder / "server.log").open("ab") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as server,
    ):
        try:
            wait_for(f"{address}/api/health")
            yield PrefectServer(address, {**shared, "PREFECT_API_URL": f"{address}/api"}, server)
        finally:
            server.terminate()


def wait_for(url: str) -> None:
    for _ in range(240):
        try:
            if httpx.get(url).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    raise TimeoutError(f"{url} does not answer after two minutes")
