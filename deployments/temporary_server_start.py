"""Starts the process of the temporary Prefect server: for some commands before anything else is imported.

The server takes longer to start than the commands take to be imported, and both can be done at once. So this
module imports nothing slow.
"""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from deployments.prefect_defaults import set_prefect_defaults
from forecasting.child_process import SAFE_PATH, SAFE_PATH_VARIABLE

_HOST = "127.0.0.1"
_COMMANDS = frozenset(["run", "demo", "backfill"])
_WITHOUT_SERVER = frozenset(["--help", "-h", "--version", "--dry-run"])


@dataclass(frozen=True)
class StartedServer:
    """A server that starts, and ends with this process.

    Attributes:
        api: the address of its API. A request waits until the server has started.
        process: the server's process. It ends at once if Prefect's settings name a server.
        lines: the file of what the server prints.
    """

    api: str
    process: "subprocess.Popen[bytes]"
    lines: IO[bytes]


_early: list[StartedServer] = []


def start_early(words: Sequence[str]) -> None:
    """Start the server if these words of a command line need one, as far as can be told without Prefect."""
    is_needed = bool(words) and words[0] in _COMMANDS and not _WITHOUT_SERVER & set(words)
    if is_needed and not os.environ.get("PREFECT_API_URL"):
        set_prefect_defaults()
        _early.append(start_server({}))


def early_server() -> StartedServer | None:
    """The server that `start_early` has started, for the one that asks first."""
    return _early.pop() if _early else None


def start_server(settings: Mapping[str, str]) -> StartedServer:
    """Start the server with further environment variables."""
    environment = {
        **os.environ,
        **settings,
        SAFE_PATH_VARIABLE: "1",
        # What Prefect sets for a server that it starts for one process: fewer services, and no UI.
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
        "PREFECT_UI_ENABLED": "0",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",  # what it prints is shown if it does not start
    }
    lines = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the server runs
    # This process closes its own copy of the socket, so that the port closes with the server.
    with socket.create_server((_HOST, 0)) as listening:
        # In its own session, so that Ctrl-C reaches only this process, which stops the server last.
        process = subprocess.Popen(  # noqa: S603 - our own module, by this interpreter
            [
                sys.executable,
                SAFE_PATH,
                "-m",
                "deployments.temporary_server_process",
                str(listening.fileno()),
            ],
            env=environment,
            pass_fds=(listening.fileno(),),
            stdin=subprocess.PIPE,
            stdout=lines,
            stderr=lines,
            start_new_session=True,
        )
        return StartedServer(f"http://{_HOST}:{listening.getsockname()[1]}/api", process, lines)
