"""Recovery: clean up on the Prefect server after a time without `nightcast serve`, before runs start again.

Nightly runs that are overtaken skip themselves, but that is not enough here. Prefect has made no run for most
due times of a long outage, so the newest one must be created. On a server that stayed up, hundreds of late
runs of other flows may wait.
"""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
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

CATCH_UP = "catch-up"  # the tag of a run that replaces a missed one
LEFT_OVER = "left-over"  # the tag of a deployment that is paused because its panel is gone
STOPPED = "Runner is shutting down."  # the message of Prefect's runner for runs that it stops when it ends
_LOST = "The run was under way when Nightcast or the machine stopped; its process is gone."
_LATER = "Skipped: nothing served this run when it was due, and a later run replaces it."
_PAGE = 200
_UNDER_WAY = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


@dataclass(frozen=True)
class Deployed:
    """A deployment on the server.

    Attributes:
        id: the deployment's id.
        name: the deployment's full name, `flow/deployment`.
        nightly_of: the panel of a nightly deployment; None for other deployments.
    """

    id: UUID
    name: str
    nightly_of: Panel | None

    @property
    def panel(self) -> str:
        """The panel's name, or `ALL`."""
        return self.name.partition("/")[2]


async def end_lost_runs(client: PrefectClient, deployed: Sequence[Deployed]) -> None:
    """Mark runs as Crashed that the server takes for running but that have no process on this machine."""
    under_way = FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY))
    ours = FlowRunFilterDeploymentId(any_=[one.id for one in deployed])
    alive = _runs_with_a_process()
    found = await _read_all(client, FlowRunFilter(deployment_id=ours, state=under_way))
    names = {one.id: one.name for one in deployed}
    for run in found:
        name = names[run.deployment_id] if run.deployment_id else run.name
        fate = "is still running, and is left to finish"
        if str(run.id) not in alive:
            fate = "was running when Nightcast or the machine stopped; marked as crashed"
            await client.set_flow_run_state(run.id, Crashed(message=_LOST), force=True)
        _log.info("%s: the run due %s %s", name, _time(run.expected_start_time), fate)


async def pause_left_over(
    client: PrefectClient,
    deployed: Sequence[Deployed],
    flows: Sequence[str],
    folder: str,
    broken: Collection[str] = (),
) -> list[str]:
    """Pause deployments that were served from this panels folder before and are not any more.

    Otherwise their late runs would pile up. A tag marks them, so that they go on when their panel is back.
    Runs at work are left alone.

    Args:
        client: a client of the server.
        deployed: the deployments that are served now.
        flows: the names of our flows.
        folder: the panels folder. Deployments of other folders and in work pools are left alone.
        broken: panels whose file is not valid. Their deployments stay as they are: a paused one would stay
            paused after the file is corrected.

    Returns:
        the names of the panels whose deployments were paused.
    """
    served, waiting = {one.id for one in deployed}, {f"panel:{name}" for name in broken}
    paused: set[str] = set()
    for found in await _read_deployments(client, FlowFilter(name=FlowFilterName(any_=list(flows)))):
        is_ours = any(tag.startswith("panel:") for tag in found.tags) and found.work_pool_name is None
        if found.id in served or found.paused or not is_ours or found.parameters.get("panels") != folder:
            continue
        if waiting.intersection(found.tags):
            continue
        await client.pause_deployment(found.id)
        await client.update_deployment(found.id, DeploymentUpdate(tags=[*found.tags, LEFT_OVER]))
        paused.add(found.name)
    return sorted(paused)


async def resolve_missed_runs(
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
        _log.info("%s: paused in Prefect; no run starts until someone resumes it there", deployed.name)
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
    fix = f"to fill it, run: {command}" if command else "a later run has the same bars"
    if plan.create is not None:
        _log.info("%s: the missed run due %s starts now", name, _time(plan.create))
    if plan.skipped:
        first, last = _time(plan.skipped[0]), _time(plan.skipped[-1])
        count = len(plan.skipped)
        which = f"run due {first} is" if count == 1 else f"{count} runs due from {first} to {last} are"
        _log.info("%s: the missed %s skipped; %s", name, which, fix)
    return f"Nothing served this run when it was due; {fix}"


def _time(when: datetime | None) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if when else "now"


async def _scheduled_runs(client: PrefectClient, deployment: UUID, now: datetime) -> list[FlowRun]:
    """The scheduled and catch-up runs due by `now`: all that wait, and the newest of the others."""
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
    # Runs that a person started are left alone.
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
    """The ids of the runs that have a process on this machine: Prefect puts the id into its environment.

    Without /proc (macOS) none are found, and a run that outlives a killed `serve` counts as lost.
    """
    mark = b"PREFECT__FLOW_RUN_ID="
    found = set()
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = file.read_bytes().split(b"\0")
        except OSError:  # the process has ended, or belongs to another user
            continue
        found |= {variable.removeprefix(mark).decode() for variable in variables if variable.startswith(mark)}
    return found
