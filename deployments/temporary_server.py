"""The temporary Prefect server of one command, for a machine where no server is configured.

Prefect would start one by itself, which outlives a command that is killed, at 230 MB each. This one ends with
the command, however the command ends.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import httpx
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    get_current_settings,
    temporary_settings,
)

from deployments.temporary_server_start import StartedServer, early_server, start_server
from forecasting.errors import ServerError, first_line
from tasks.server_kind import TEMPORARY_SERVER

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
        server = early_server() or start_server(
            get_current_settings().to_environment_variables(exclude_unset=True)
        )
        self._process = server.process
        with server.lines:
            try:
                self._wait_until_healthy(server)
                with temporary_settings({PREFECT_API_URL: server.api}):
                    self.api = os.environ[TEMPORARY_SERVER] = server.api
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

    def _wait_until_healthy(self, server: StartedServer) -> None:
        """Ask once: a connection to the listening socket waits until the server has started."""
        seconds = PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
        try:
            httpx.get(f"{server.api}/health", timeout=seconds, trust_env=False).raise_for_status()
        except httpx.HTTPError as error:
            self._end()
            raise ServerError(
                f"the temporary Prefect server did not start ({_reason(server.lines) or first_line(error)}); "
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
