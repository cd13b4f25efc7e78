"""Put in order what a time without `serve` has left on the Prefect server, before anything starts again."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled, Crashed, Scheduled

from deployments.missed_runs import Plan, Run, Stage, fill_command, plan_nightly, plan_others
from forecasting.panel import Panel

_log = logging.getLogger(__name__)

CATCH_UP = "catch-up"  # the tag of a run that makes up for a missed one
STOPPED = "Runner is shutting down."  # how Prefect's runner explains a run that it stops as it ends
_LOST = "It was under way when Nightcast or the machine was stopped; nothing is left of it."
_LATER = "A later run stands in for it: nothing served it when it was due."
_PAGE = 200
_UNDER_WAY = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


@dataclass(frozen=True)
class Deployed:
    """A deployment on the server: its id and name, and whose nightly run it is, if it is one."""

    id: UUID
    name: str
    nightly_of: Panel | None


async def end_lost_runs(client: PrefectClient, deployed: Sequence[Deployed]) -> None:
    """Mark Crashed what the server takes to be running, but of which no process of this machine is left."""
    under_way = FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY))
    ours = FlowRunFilterDeploymentId(any_=[one.id for one in deployed])
    alive = _runs_with_a_process()
    found = await _read_all(client, FlowRunFilter(deployment_id=ours, state=under_way))
    names = {one.id: one.name for one in deployed}
    for run in found:
        fate = "is still running, and left to finish"
        if str(run.id) not in alive:
            fate = "was under way when Nightcast or the machine was stopped; marked as crashed"
        name = names[run.deployment_id] if run.deployment_id else run.name
        _log.info("%s: the run due %s %s", name, _time(run.expected_start_time), fate)
    lost = [run for run in found if str(run.id) not in alive]
    while lost:
        for run in lost:
            await client.set_flow_run_state(run.id, Crashed(message=_LOST), force=True)
        parents = FlowRunFilterParentFlowRunId(any_=[run.id for run in lost])
        lost = await _read_all(client, FlowRunFilter(parent_flow_run_id=parents, state=under_way))


async def pause_left_over(
    client: PrefectClient, deployed: Sequence[Deployed], flows: Sequence[str], folder: str
) -> None:
    """Pause what was served from the same folder of panels before, and is no more: its late runs pile up.

    Args:
        client: of the server.
        deployed: what is served now.
        flows: the names of our flows.
        folder: of panels; what another `serve` has from another one is left alone, and what is in a pool.
    """
    served = {one.id for one in deployed}
    for found in await _read_deployments(client, FlowFilter(name=FlowFilterName(any_=list(flows)))):
        is_ours = any(tag.startswith("panel:") for tag in found.tags) and found.work_pool_name is None
        if found.id in served or found.paused or not is_ours or found.parameters.get("panels") != folder:
            continue
        await client.pause_deployment(found.id)
        flow = await client.read_flow(found.flow_id)
        _log.info(
            "%s/%s: no panel in %s has it any more; paused. Delete it in the Prefect UI, or resume it there "
            "once the panel is back",
            flow.name,
            found.name,
            folder,
        )


async def settle_missed_runs(
    client: PrefectClient, deployed: Deployed, store: str, server: str | None
) -> bool:
    """Keep only the newest run that is due, and log which runs are skipped and the command that fills them.

    A paused deployment is left as it is.

    Args:
        client: a client of the server.
        deployed: the deployment.
        store: the store's URI.
        server: the server's API address if other shells do not know it.

    Returns:
        whether the deployment is active.
    """
    now = datetime.now(UTC)
    found = await client.read_deployment(deployed.id)
    if found.paused:
        _log.info("%s: paused in Prefect; nothing of it runs until someone resumes it there", deployed.name)
        return False
    runs = [_record(run) for run in await _scheduled_runs(client, deployed.id, now)]
    panel = deployed.nightly_of
    if panel is None:
        plan, message = plan_others(now, runs), _LATER
    else:
        plan = plan_nightly(panel.due_times, found.created or now, now, runs)
        message = _tell(deployed.name, plan, fill_command(panel, plan, store, server))
    for run_id in plan.cancel:
        await client.set_flow_run_state(UUID(run_id), Cancelled(name="Skipped", message=message), force=True)
    if plan.create is not None:
        await client.create_flow_run_from_deployment(
            deployed.id, state=Scheduled(scheduled_time=plan.create), tags=[CATCH_UP]
        )
    return True


def _tell(name: str, plan: Plan, command: str | None) -> str:
    """Log what was missed and what happens now; return the message for the cancelled runs."""
    fix = f"to fill it, run: {command}" if command else "a later run is for the same bars"
    if plan.create is not None:
        _log.info("%s: missed, and made up for now: due %s", name, _time(plan.create))
    if plan.skipped:
        first, last = _time(plan.skipped[0]), _time(plan.skipped[-1])
        which = (
            f"due {first}" if len(plan.skipped) == 1 else f"{len(plan.skipped)} due from {first} to {last}"
        )
        _log.info("%s: missed, and not made up for: %s; %s", name, which, fix)
    return f"Nothing served this run when it was due; {fix}"


def _time(when: datetime | None) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if when else "now"


async def _scheduled_runs(client: PrefectClient, deployment: UUID, now: datetime) -> list[FlowRun]:
    """The runs due by `now` that a schedule made or that made up for one: all that wait, the last others."""
    ours = FlowRunFilterDeploymentId(any_=[deployment])
    due = FlowRunFilterExpectedStartTime(before_=now)
    waiting = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    found = await _read_all(client, FlowRunFilter(deployment_id=ours, expected_start_time=due, state=waiting))
    rest = FlowRunFilterState(type=FlowRunFilterStateType(not_any_=[StateType.SCHEDULED]))
    found += await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(deployment_id=ours, expected_start_time=due, state=rest),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=_PAGE,
    )
    # What a person has asked for by hand stays as it is.
    return [run for run in found if run.auto_scheduled or CATCH_UP in run.tags]


async def _read_all(client: PrefectClient, wanted: FlowRunFilter) -> list[FlowRun]:
    found: list[FlowRun] = []
    while True:
        page = await client.read_flow_runs(
            flow_run_filter=wanted,
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=_PAGE,
            offset=len(found),
        )
        found += page
        if len(page) < _PAGE:
            return found


async def _read_deployments(client: PrefectClient, wanted: FlowFilter) -> list[DeploymentResponse]:
    found: list[DeploymentResponse] = []
    while True:
        page = await client.read_deployments(flow_filter=wanted, limit=_PAGE, offset=len(found))
        found += page
        if len(page) < _PAGE:
            return found


def _record(run: FlowRun) -> Run:
    return Run(str(run.id), run.expected_start_time or datetime.now(UTC), _stage(run.state))


def _stage(state: Any) -> Stage:
    if state.is_crashed() or (state.is_cancelled() and state.message == STOPPED):
        return Stage.LOST
    if state.is_final():
        return Stage.OVER
    return Stage.WAITING if state.is_scheduled() else Stage.ALIVE


def _runs_with_a_process() -> set[str]:
    """The ids of the runs that processes of this machine work on; Prefect has it in their environment.

    Where there is no /proc (macOS), none are found: a run that outlives a killed `serve` then counts as lost.
    """
    mark = b"PREFECT__FLOW_RUN_ID="
    found = set()
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = file.read_bytes().split(b"\0")
        except OSError:  # it has ended meanwhile, or belongs to somebody else
            continue
        found |= {variable.removeprefix(mark).decode() for variable in variables if variable.startswith(mark)}
    return found
