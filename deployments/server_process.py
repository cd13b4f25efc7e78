"""The Prefect server of one machine: `python -m deployments.server_process PORT`, started by `local_server`.

The server ends when its standard input closes, so that a killed parent leaves no server behind.
"""

import sys

from prefect.cli import app

from forecasting.child_process import end_with_parent


def main() -> None:
    """Run the server until it is stopped."""
    end_with_parent()
    sys.argv = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", sys.argv[1]]
    app()


if __name__ == "__main__":
    main()
