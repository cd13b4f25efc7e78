"""The Prefect server for `nightcast serve`: the configured one, one found on the port, or a new one."""

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import httpx
import prefect
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from deployments.server_errors import check_answers
from forecasting.child_process import SAFE_PATH, SAFE_PATH_VARIABLE
from forecasting.errors import ServerError

_log = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_START_SECONDS = 180
_END_SECONDS = 15
_HTTP_OK = 200


@dataclass(frozen=True)
class Server:
    """A Prefect server that answers.

    Attributes:
        api: the address of its API.
        process: the server's process if this process started it.
        is_configured: whether Prefect's settings name the server, so that other shells use it too.
    """

    api: str
    process: subprocess.Popen[bytes] | None = None
    is_configured: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether this process started the server, so that all runs on it are on this machine.

        The address does not say so: a port of this machine may be a tunnel to a server elsewhere.
        """
        return self.process is not None

    @property
    def has_ended(self) -> bool:
        """Whether this process started the server and it has ended."""
        return self.process is not None and self.process.poll() is not None


@contextmanager
def prefect_server(port: int) -> Iterator[Server]:
    """Find or start a server, and let Prefect's settings name it meanwhile.

    Raises:
        ServerError: the server does not answer, or another program uses the port.
    """
    configured = PREFECT_API_URL.value()
    if configured:
        yield _configured(configured)
        return
    found = _found(port)
    with (
        nullcontext(found) if found else _started(port) as server,
        temporary_settings({PREFECT_API_URL: server.api}),
    ):
        yield server


def _configured(api: str) -> Server:
    check_answers(api)
    _log.info("prefect: using the server at %s (PREFECT_API_URL)", api)
    return Server(api, is_configured=True)


def _found(port: int) -> Server | None:
    with socket.socket() as probe:
        if probe.connect_ex((_HOST, port)) != 0:
            return None
    version = _version(port)
    other = "stop it, or choose another port with --port"
    if version is None:
        raise ServerError(f"port {port} is used by a program that is not a Prefect server: {other}")
    if version != prefect.__version__:
        raise ServerError(
            f"the Prefect server on port {port} has version {version}, not {prefect.__version__}: {other}"
        )
    _log.info("prefect: using the server that already runs on port %d", port)
    return Server(f"http://{_HOST}:{port}/api")


def _version(port: int) -> str | None:
    try:
        answer = httpx.get(f"http://{_HOST}:{port}/api/admin/version", timeout=20, trust_env=False)
        return str(answer.json()) if answer.status_code == _HTTP_OK else None
    except (httpx.HTTPError, ValueError):  # the answer is not HTTP, or not JSON
        return None


@contextmanager
def _started(port: int) -> Iterator[Server]:
    home = Path(PREFECT_HOME.value()).resolve()
    home.mkdir(parents=True, exist_ok=True)
    log = home / "nightcast-server.log"
    address = f"http://{_HOST}:{port}"
    _log.info("prefect: starting a server on this machine, which takes 10 to 30 seconds")
    environment = {
        **os.environ,
        SAFE_PATH_VARIABLE: "1",
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    }
    command = [sys.executable, SAFE_PATH, "-m", "deployments.server_process", str(port)]
    with (
        log.open("wb") as lines,
        # In its own session, so that Ctrl-C reaches only this process, which stops the server last.
        subprocess.Popen(  # noqa: S603 - our own module, by this interpreter
            command,
            env=environment,
            cwd=home,  # Prefect's migrations let the server import from its working directory
            stdin=subprocess.PIPE,
            stdout=lines,
            stderr=lines,
            start_new_session=True,
        ) as process,
    ):
        try:
            _wait_until_healthy(process, port, log)
            _log.info("prefect: the UI is at %s; its history is in %s", address, home)
            yield Server(f"{address}/api", process)
        finally:
            _end(process)


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while _version(port) is None:
        if process.poll() is not None:
            raise ServerError(f"the Prefect server ended during startup; see its log, {log}")
        if time.monotonic() > deadline:
            raise ServerError(
                f"the Prefect server does not answer after {_START_SECONDS} s; see its log, {log}"
            )
        time.sleep(0.5)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
