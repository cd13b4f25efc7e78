"""Hooks: what is done once a run has ended, well or not. A hook that fails is logged, and fails no run."""

from datetime import UTC, datetime
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State

from flows.parameters import panel_of
from forecasting.errors import AuditError, PanelError, StaleError, first_line
from forecasting.night import NightResult
from forecasting.operations.run_record import RunRecord, write_run_record
from forecasting.panel import Panel
from forecasting.storage import Storage
from tasks.events import BREAKER, CRASHED, FAILED, alarm, notify

# How a night ended that did nothing, as it started after a later one was due.
MISSED = "Missed"


def tell_failure(flow: Flow[..., Any], run: FlowRun, state: State[Any]) -> None:
    """An alarm that the run failed: of the breaker where that stopped it. What is stale has its own."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, StaleError):
        return
    panel, (kind, message) = panel_of(run.parameters), _error(state)
    payload = {"flow": flow.name, "error": kind, "message": message, "flow_run_id": str(run.id)}
    if isinstance(error, AuditError) and error.findings:
        text = f"Nightcast: the audit stopped {flow.name} of {panel}, and the last forecast stands: {message}"
        alarm(BREAKER, panel, text, payload)
    else:
        alarm(FAILED, panel, f"Nightcast: {flow.name} of {panel} failed: {message}", payload)


def tell_crash(flow: Flow[..., Any], run: FlowRun, state: State[Any]) -> None:
    """A message that the run crashed; the event is Prefect's own."""
    panel, message = panel_of(run.parameters), first_line(state.message or "no reason known")
    payload = {"flow": flow.name, "message": message, "flow_run_id": str(run.id)}
    notify(CRASHED, panel, f"Nightcast: {flow.name} of {panel} crashed: {message}", payload)


def record_run(_flow: Flow[..., Any], run: FlowRun, state: State[Any]) -> None:
    """Leave in the store how the run ended; one for a given `as_of`, or missed, says nothing of it."""
    if run.parameters.get("as_of") is not None or state.name == MISSED:
        return
    try:
        panel = Panel.load(run.parameters["panel"], run.parameters.get("panels"))
    except PanelError:
        return  # `nightcast status` tells of that itself
    due_at = run.expected_start_time or datetime.now(UTC)
    record: dict[str, Any] = {
        "panel": panel.name,
        "due_at": due_at.isoformat(),
        "ended_at": datetime.now(UTC).isoformat(),
        "flow_run_id": str(run.id),
        **(_published(state.result()) if state.is_completed() else _failed(state)),
    }
    write_run_record(Storage(run.parameters.get("store")), RunRecord(**record))


def _published(result: NightResult) -> dict[str, Any]:
    return {
        "outcome": "published" if result.is_new else "nothing new",
        "as_of": result.manifest.as_of,
        "forecast_id": result.manifest.forecast_id,
    }


def _failed(state: State[Any]) -> dict[str, Any]:
    kind, message = _error(state)
    return {"outcome": "failed", "error": kind, "message": message}


def _error(state: State[Any]) -> tuple[str, str]:
    """The class and the first line of what a run ended with."""
    error = None if state.is_crashed() else state.result(raise_on_failure=False)
    if isinstance(error, Exception):
        return type(error).__name__, first_line(error)
    return state.name or "Failed", first_line(state.message or "no reason known")


# For every flow: someone gets to hear that it failed. For the nightly one also: it is recorded how it ended.
ALARMED: dict[str, Any] = {"on_failure": [tell_failure], "on_crashed": [tell_crash]}
WATCHED: dict[str, Any] = {
    "on_completion": [record_run],
    "on_failure": [record_run, tell_failure],
    "on_crashed": [record_run, tell_crash],
}
