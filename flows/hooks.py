"""Hooks: what happens when a run has ended. A failing hook is logged and does not fail the run."""

from datetime import UTC, datetime
from typing import Any

from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State

from flows.parameters import panel_of
from forecasting.errors import AuditError, PanelError, StaleError, first_line
from forecasting.night import NightResult
from forecasting.operations.landing_page import try_update_landing_page
from forecasting.operations.run_record import RunRecord, write_run_record
from forecasting.panel import Panel
from forecasting.storage import Storage
from tasks.events import BREAKER, CRASHED, FAILED, alarm, notify

# The state of a nightly run that did nothing because it started after a later run was due.
MISSED = "Missed"


def tag_with_panel(_flow: Flow[..., Any], run: FlowRun, _state: State[Any]) -> None:
    """Tag a run of the command line with its panel, as a deployment tags its runs: maintenance finds them so.

    Prefect's own `tags` would also tag the tasks. Before each of them, Prefect then asks the server for a
    limit of the tag, which takes seconds a run.
    """
    tag = f"panel:{panel_of(run.parameters)}"
    if tag not in run.tags:
        with get_client(sync_client=True) as client:
            client.update_flow_run(run.id, tags=[*run.tags, tag])


def alarm_failure(flow: Flow[..., Any], run: FlowRun, state: State[Any]) -> None:
    """Raise an alarm that the run failed, or that the breaker stopped it. Staleness has its own alarm."""
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


def notify_crash(flow: Flow[..., Any], run: FlowRun, state: State[Any]) -> None:
    """Notify people that the run crashed. Prefect itself emits the event."""
    panel, message = panel_of(run.parameters), first_line(state.message or "no reason known")
    payload = {"flow": flow.name, "message": message, "flow_run_id": str(run.id)}
    notify(CRASHED, panel, f"Nightcast: {flow.name} of {panel} crashed: {message}", payload)


def record_run(_flow: Flow[..., Any], run: FlowRun, state: State[Any]) -> None:
    """Record in the store how a nightly run ended. Runs for a given `as_of` and missed runs are left out."""
    if run.parameters.get("as_of") is not None or state.name == MISSED:
        return
    try:
        panel = Panel.load(run.parameters["panel"], run.parameters.get("panels"))
    except PanelError:
        return  # `nightcast status` reports a bad panel file itself
    due_at = run.expected_start_time or datetime.now(UTC)
    record: dict[str, Any] = {
        "panel": panel.name,
        "due_at": due_at.isoformat(),
        "ended_at": datetime.now(UTC).isoformat(),
        "flow_run_id": str(run.id),
        **(_published(state.result()) if state.is_completed() else _failed(state)),
    }
    write_run_record(Storage(run.parameters.get("store")), RunRecord(**record))


def show_on_landing_page(_flow: Flow[..., Any], run: FlowRun, state: State[Any]) -> None:
    """Update the landing page with what the run has changed for its panel. A dry run has changed nothing."""
    if state.name == MISSED or run.parameters.get("dry_run"):
        return
    try:
        panel = Panel.load(run.parameters["panel"], run.parameters.get("panels"))
    except PanelError:
        return
    try_update_landing_page(panel, Storage(run.parameters.get("store")), datetime.now(UTC))


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
    """The class and the first line of the error that ended a run."""
    error = None if state.is_crashed() else state.result(raise_on_failure=False)
    if isinstance(error, Exception):
        return type(error).__name__, first_line(error)
    return state.name or "Failed", first_line(state.message or "no reason known")


# Every run has its panel's tag, and raises an alarm when it fails. Some change what the landing page shows,
# even if they fail. The nightly flow also records how each run ended.
ALARMED: dict[str, Any] = {
    "on_running": [tag_with_panel],
    "on_failure": [alarm_failure],
    "on_crashed": [notify_crash],
}
SHOWN: dict[str, Any] = {
    "on_running": [tag_with_panel],
    "on_completion": [show_on_landing_page],
    "on_failure": [alarm_failure, show_on_landing_page],
    "on_crashed": [notify_crash, show_on_landing_page],
}
WATCHED: dict[str, Any] = {
    "on_running": [tag_with_panel],
    "on_completion": [record_run, show_on_landing_page],
    "on_failure": [record_run, alarm_failure, show_on_landing_page],
    "on_crashed": [record_run, notify_crash, show_on_landing_page],
}
