"""The Prefect server of one machine: `python -m deployments.server_process PORT`, started by `local_server`.

It ends when its standard input does, so that a parent that is killed leaves no server behind.
"""

import sys

from prefect.cli import app

from forecasting.child_process import end_with_parent


def main() -> None:
    """Serve until told to end."""
    end_with_parent()
    sys.argv = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", sys.argv[1]]
    app()


if __name__ == "__main__":
    main()
