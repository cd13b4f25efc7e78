"""The temporary Prefect server: `python -m deployments.temporary_server_process SOCKET`.

`temporary_server_start` starts it, and passes the listening socket as an open file descriptor. The server
ends when its standard input closes, so that a killed run leaves no server behind.
"""

import os
import socket
import sys
from pathlib import Path

from forecasting.child_process import end_with_parent


def main() -> None:
    """Run the server until it is stopped. Where Prefect's settings name another server, do nothing."""
    end_with_parent()
    if home := os.environ.get("PREFECT_HOME"):  # it may be relative, and the working directory will change
        os.environ["PREFECT_HOME"] = str(Path(home).expanduser().resolve())
    import uvicorn  # noqa: PLC0415 - the parent may end while this imports
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME  # noqa: PLC0415 - as above, and after PREFECT_HOME

    if PREFECT_API_URL.value():
        return
    folder = Path(PREFECT_HOME.value())
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)  # Prefect's migrations let the server import from its working directory
    config = uvicorn.Config(
        "prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on"
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


if __name__ == "__main__":
    main()
