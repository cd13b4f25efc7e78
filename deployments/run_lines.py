"""The log lines of runs in the terminal of `nightcast serve`: our own lines, each with its run's name."""

import logging
import sys

from prefect.context import FlowRunContext

from deployments.json_lines import line_format


class RunLines(logging.StreamHandler):  # type: ignore[type-arg] # generic only for type checkers
    """The log handler in the process of a run. `logging.yml` configures it."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)  # `serve` shows standard error, but not standard output
        self._run = "run"
        self.setFormatter(line_format("%(asctime)s  %(run)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record. In a thread without a Prefect context, use the last run's name."""
        context = FlowRunContext.get()
        if context and context.flow_run:
            self._run = context.flow_run.name
        record.run = self._run
        super().emit(record)
