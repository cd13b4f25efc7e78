"""Prefect flows: which tasks run in which order."""

import logging

# A worker's process sends our loggers to the run's log but sets no level, so only warnings would get there.
for _name in ("forecasting", "tasks", "flows"):
    if logging.getLogger(_name).level == logging.NOTSET:
        logging.getLogger(_name).setLevel(logging.INFO)
