"""Log lines for machines."""

import json
import logging
import sys
from types import SimpleNamespace

import pytest

from deployments.json_lines import JsonLines, line_format
from deployments.run_lines import RunLines


def record(**extra: object) -> logging.LogRecord:
    made = logging.LogRecord("tasks.audit", logging.INFO, "audit.py", 1, "audit: %d left out", (2,), None)
    made.created = 1_792_000_000.5  # date -u -d @1792000000
    made.__dict__.update(extra)
    return made


def in_run(monkeypatch: pytest.MonkeyPatch, context: object) -> None:
    found = SimpleNamespace(FlowRunContext=SimpleNamespace(get=lambda: context))
    monkeypatch.setitem(sys.modules, "prefect.context", found)  # type: ignore[arg-type]


def test_a_line_has_its_run_its_panel_and_its_series(monkeypatch: pytest.MonkeyPatch) -> None:
    run = SimpleNamespace(name="nightly-tiny", id="abc")
    in_run(monkeypatch, SimpleNamespace(flow_run=run, parameters={"panel": "/panels/tiny.toml"}))
    line = JsonLines().format(record(series={"DEAD": "stale"}))
    assert json.loads(line) == {
        "time": "2026-10-14T17:46:40.500000+00:00",
        "level": "INFO",
        "logger": "tasks.audit",
        "message": "audit: 2 left out",
        "run": "nightly-tiny",
        "flow_run_id": "abc",
        "panel": "tiny",
        "series": {"DEAD": "stale"},
    }
    assert len(line.splitlines()) == 1


def test_a_thread_outside_the_run_has_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = JsonLines()
    in_run(monkeypatch, SimpleNamespace(flow_run=SimpleNamespace(name="a run", id="abc"), parameters={}))
    lines.format(record())
    in_run(monkeypatch, None)
    assert json.loads(lines.format(record()))["run"] == "a run"


def test_without_a_run_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    in_run(monkeypatch, None)
    assert set(json.loads(JsonLines().format(record()))) == {"time", "level", "logger", "message"}


def test_lines_are_json_only_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NIGHTCAST_LOG", raising=False)
    assert not isinstance(line_format("%(message)s"), JsonLines)
    monkeypatch.setenv("NIGHTCAST_LOG", "json")
    assert isinstance(line_format("%(message)s"), JsonLines)
    assert isinstance(RunLines().formatter, JsonLines)
