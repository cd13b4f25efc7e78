"""JSON log lines: one JSON object per line, with the run and the panel."""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

from flows.parameters import panel_of


class JsonLines(logging.Formatter):
    """Formats a record as JSON. In a thread without a Prefect context, it uses the last run it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self._run: dict[str, str] = {}

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        self._run = _run_facts() or self._run
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._run,
        }
        if hasattr(record, "series"):
            line["series"] = record.series
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def line_format(text: str) -> logging.Formatter:
    """The formatter for log lines: the format `text`, or JSON if `NIGHTCAST_LOG` is `json`."""
    if os.environ.get("NIGHTCAST_LOG") == "json":
        return JsonLines()
    return logging.Formatter(text, datefmt="%H:%M:%S")


def _run_facts() -> dict[str, str]:
    """The name, id and panel of the present run. Empty if Prefect is not imported: that takes seconds."""
    prefect = sys.modules.get("prefect.context")
    context = prefect.FlowRunContext.get() if prefect else None
    if context is None or context.flow_run is None:
        return {}
    facts = {"run": context.flow_run.name, "flow_run_id": str(context.flow_run.id)}
    return {**facts, "panel": panel_of(context.parameters or {})}
