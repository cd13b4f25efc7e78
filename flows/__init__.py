"""Prefect flows: which tasks run in which order."""

import logging
import os
import sys

# A worker's process sends our loggers to the run's log but sets no level, so only warnings would get there.
for _name in ("forecasting", "tasks", "flows"):
    if logging.getLogger(_name).level == logging.NOTSET:
        logging.getLogger(_name).setLevel(logging.INFO)


class _NoModules:
    """A finder (see `sys.path_importer_cache`) of a folder without modules."""

    def find_spec(self, _name: str, _target: object = None) -> None:
        return None


# Prefect puts the working directory first on `sys.path` while it loads a flow, even with `-P`. A user's own
# `json.py` or `forecasting.py` there must not replace the real one. A folder that is on the path anyway, as
# in an editable install, stays.
if sys.flags.safe_path and os.getcwd() not in sys.path[1:]:  # noqa: PTH109 - the text that Prefect puts there
    sys.path_importer_cache[os.getcwd()] = _NoModules()  # noqa: PTH109
