"""What runs print in the terminal of `nightcast serve`: our own lines, each with its run's name."""

import logging
import sys

from prefect.context import FlowRunContext

from deployments.json_lines import line_format


class RunLines(logging.StreamHandler):  # type: ignore[type-arg] # generic only for type checkers
    """A handler for the process of one run; `logging.yml` has it."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)  # `serve` passes it on; what goes to standard output it holds back
        self._run = "run"
        self.setFormatter(line_format("%(asctime)s  %(run)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record; a thread that Prefect does not know has the name of the last one it did."""
        context = FlowRunContext.get()
        if context and context.flow_run:
            self._run = context.flow_run.name
        record.run = self._run
        super().emit(record)
