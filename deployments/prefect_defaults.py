"""The Prefect settings of every process of ours. They are only defaults: the user's own settings win.

This module imports nothing slow, as `start` needs it first.
"""

import os

from forecasting.child_process import SAFE_PATH_VARIABLE

# What every run needs, wherever a worker starts it.
RUN_ENVIRONMENT = {
    # Prefect starts runs with `python -m`, which would import from the working directory first.
    SAFE_PATH_VARIABLE: "1",
    # The library's and the tasks' lines belong to the run, in the UI too.
    "PREFECT_LOGGING_EXTRA_LOGGERS": "forecasting,tasks,flows",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
_DEFAULTS = {
    # A temporary server takes 10 to 20 s to start on a small machine; Prefect's default timeout is 20 s.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    # Neither the server nor the client sends usage statistics.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # Prefect's default keeps leases in memory: a restarted server forgets them, and their slots stay taken.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # Remove leftovers of runs that the maintenance flow has removed. It removes the runs itself.
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,orphans",
    **RUN_ENVIRONMENT,
}


def set_prefect_defaults() -> None:
    """Set them in this process's environment, which child processes inherit."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
