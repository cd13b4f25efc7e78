"""The temporary Prefect server: `python -m deployments.temporary_server_process SOCKET`.

`temporary_server` starts it, and passes the listening socket as an open file descriptor. The server ends when
its standard input closes, so that a killed run leaves no server behind.
"""

import socket
import sys

import uvicorn

from forecasting.child_process import end_with_parent


def main() -> None:
    """Run the server until it is stopped."""
    end_with_parent()
    config = uvicorn.Config(
        "prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on"
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


if __name__ == "__main__":
    main()
