"""Whether the Prefect server lasts, or is there for one command only."""

import os

from prefect.settings import PREFECT_API_URL

# The environment variable that names the temporary server of this command, for its child processes too.
TEMPORARY_SERVER = "NIGHTCAST_TEMPORARY_SERVER"


def has_lasting_server() -> bool:
    """Whether this run is on a server that others use too, and that goes on after it.

    Without an address, Prefect starts a server for this process alone.
    """
    return PREFECT_API_URL.value() not in (None, os.environ.get(TEMPORARY_SERVER))
