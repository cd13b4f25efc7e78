"""Prefect flows: the order of the work."""

import logging

# A worker's process gives our loggers the run's log, but no level: below a warning, nothing would get there.
for _name in ("forecasting", "tasks", "flows"):
    if logging.getLogger(_name).level == logging.NOTSET:
        logging.getLogger(_name).setLevel(logging.INFO)
