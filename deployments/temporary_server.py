"""The temporary Prefect server of one command, for a machine where no server is configured.

Prefect would start one by itself, which outlives a command that is killed, at 230 MB each. This one ends with
the command, however the command ends.
"""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    get_current_settings,
    temporary_settings,
)

from forecasting.child_process import SAFE_PATH, SAFE_PATH_VARIABLE
from forecasting.errors import ServerError, first_line
from tasks.server_kind import TEMPORARY_SERVER

_HOST = "127.0.0.1"
_END_SECONDS = 5


class TemporaryServer:
    """A Prefect server for this process alone.

    Attributes:
        api: the address of its API while it answers, else None.
    """

    def __init__(self) -> None:
        self.api: str | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the server; Prefect's settings name it meanwhile.

        Raises:
            ServerError: the server does not start.
        """
        with tempfile.TemporaryFile() as lines, socket.create_server((_HOST, 0)) as listening:
            api = f"http://{_HOST}:{listening.getsockname()[1]}/api"
            try:
                self._process = _start(listening, lines)
                listening.close()  # so that the port closes with the server
                self._wait_until_healthy(api, lines)
                with temporary_settings({PREFECT_API_URL: api}):
                    self.api = os.environ[TEMPORARY_SERVER] = api
                    yield
            finally:
                self.api = None
                os.environ.pop(TEMPORARY_SERVER, None)
                self._end()

    def kill(self) -> None:
        """End the server at once. Nothing happens if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _wait_until_healthy(self, api: str, lines: IO[bytes]) -> None:
        """Ask once: a connection to the listening socket waits until the server has started."""
        seconds = PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
        try:
            httpx.get(f"{api}/health", timeout=seconds, trust_env=False).raise_for_status()
        except httpx.HTTPError as error:
            self._end()
            raise ServerError(
                f"the temporary Prefect server did not start ({_reason(lines) or first_line(error)}); "
                "check PREFECT_HOME and the free memory and disk, then run the same command again"
            ) from error

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()


def _reason(lines: IO[bytes]) -> str:
    """The last exception that the server printed; empty if there is none."""
    lines.seek(0)
    printed = lines.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(printed) if "Error: " in line), "")


def _start(listening: socket.socket, lines: IO[bytes]) -> subprocess.Popen[bytes]:
    home = Path(PREFECT_HOME.value()).resolve()
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        **get_current_settings().to_environment_variables(exclude_unset=True),
        SAFE_PATH_VARIABLE: "1",
        "PREFECT_HOME": str(home),
        # What Prefect sets for a server that it starts for one process: fewer services, and no UI.
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
        "PREFECT_UI_ENABLED": "0",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",  # what it prints is shown if it does not start
    }
    # In its own session, so that Ctrl-C reaches only this process, which stops the server last.
    return subprocess.Popen(  # noqa: S603 - our own module, by this interpreter
        [sys.executable, SAFE_PATH, "-m", "deployments.temporary_server_process", str(listening.fileno())],
        env=environment,
        cwd=home,  # Prefect's migrations let the server import from its working directory
        pass_fds=(listening.fileno(),),
        stdin=subprocess.PIPE,
        stdout=lines,
        stderr=lines,
        start_new_session=True,
    )
