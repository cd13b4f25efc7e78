"""Serve every panel's deployments on one machine: start a server if needed, and run what is due."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowFilter,
    FlowFilterName,
)
from prefect.deployments.runner import RunnerDeployment
from prefect.runner import Runner

from deployments.automations import apply_automations
from deployments.catalogue import deployments_of
from deployments.local_server import Server, prefect_server
from deployments.recovery import Deployed, end_lost_runs, pause_left_over, resolve_missed_runs
from deployments.run_watcher import RunWatcher
from flows.nightly import nightly
from forecasting.errors import PanelError, ServerError
from forecasting.panel import Panel
from tasks.events import WEBHOOK

_log = logging.getLogger(__name__)

_LOGGING = Path(__file__).parent / "logging.yml"
_POLL_SECONDS = 5
_STOP_SECONDS = 75
_YEAR = timedelta(days=366)


@dataclass(frozen=True)
class Serving:
    """What to serve.

    Attributes:
        panels: the valid panels in `folder`.
        broken: the error of each other panel file, by the panel's name.
        store: the store's URI.
        folder: the panels folder, an absolute path.
        limit: how many runs may be at work at the same time.
    """

    panels: Sequence[Panel]
    broken: Mapping[str, PanelError]
    store: str
    folder: str
    limit: int


def serve_until_stopped(serving: Serving, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then stop the runs and the server.

    Args:
        serving: what to serve.
        port: the port of the Prefect server that is started if none is configured.

    Raises:
        ServerError: the Prefect server does not answer, cannot be started, or has ended.
    """
    os.environ.setdefault("PREFECT_LOGGING_SETTINGS_PATH", str(_LOGGING))
    for error in serving.broken.values():
        _log.error("%s; this panel is not served: correct the file, and start nightcast serve again", error)
    deployments = deployments_of(serving.panels, serving.store, serving.folder)
    # Ctrl-C reaches every process of a terminal. It is blocked here, and so in all child processes. A thread
    # waits for it, and this process then stops the others in order.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # If the server is gone, Prefect prints tracebacks; the error raised below says enough.
    with prefect_server(port) as server, redirect_stdout(None):
        asyncio.run(_serve(deployments, serving, server))


class _Runner(Runner):
    """Prefect's runner with our SIGTERM handler: Prefect's own uses a thread with another event loop."""

    def on_sigterm(self, end: Callable[[], Any]) -> None:
        self._end = end

    def handle_sigterm(self, *_args: Any, **_kwargs: Any) -> None:
        self._end()


async def _serve(deployments: Sequence[RunnerDeployment], serving: Serving, server: Server) -> None:
    end = _end_event()
    runner = _Runner("nightcast", pause_on_shutdown=False, limit=serving.limit, query_seconds=_POLL_SECONDS)
    panels = {panel.name: panel for panel in serving.panels}
    async with get_client() as client:
        deployed = [
            Deployed(await _register(client, runner, one), one.full_name, _nightly_of(one, panels))
            for one in deployments
        ]
        flows = sorted({one.flow_name or "" for one in deployments})
        await _apply_notifications(flows)
        await pause_left_over(client, deployed, flows, serving.folder, serving.broken)
        if server.is_ours:
            await end_lost_runs(client, deployed)
        api = None if server.is_configured else server.api  # other shells know a configured server
        active = [one for one in deployed if await resolve_missed_runs(client, one, serving.store, api)]
        _log_schedules(active)
        _log.info("serving %d deployments, %d runs at a time; stop with Ctrl-C", len(active), serving.limit)
        await _run(runner, RunWatcher(client, [one.id for one in deployed]), server, end)


async def _apply_notifications(flows: Sequence[str]) -> None:
    """If a webhook is set, let the server post to it, also about runs that a kill has left behind."""
    if webhook := os.environ.get(WEBHOOK):
        applied = await asyncio.to_thread(apply_automations, webhook, flows)
        _log.info("notifying the webhook of NIGHTCAST_WEBHOOK: %d automations", len(applied))


async def _register(client: PrefectClient, runner: _Runner, deployment: RunnerDeployment) -> UUID:
    """Create or update the deployment, without a work pool. A paused deployment stays paused."""
    known = await client.read_deployments(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[deployment.flow_name or ""])),
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[deployment.name])),
    )
    deployment.paused = any(one.paused for one in known)
    deployment.work_pool_name = None
    deployment.work_queue_name = None
    return await runner.aadd_deployment(deployment)


async def _run(runner: _Runner, watcher: RunWatcher, server: Server, end: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    runner.on_sigterm(lambda: loop.call_soon_threadsafe(end.set))
    running = asyncio.create_task(runner.start())
    others = [asyncio.create_task(watcher.watch()), asyncio.create_task(_wait_for_end(end, server))]
    try:
        done, _ = await asyncio.wait([running, *others], return_when=asyncio.FIRST_COMPLETED)
        if runner.started and not server.has_ended:
            _log.info("stopping")
            await _stop(runner, running)
        for task in done:
            task.result()
        await watcher.report()
    finally:
        for task in others:
            task.cancel()


async def _stop(runner: _Runner, running: asyncio.Task[None]) -> None:
    """Stop the runs. Each has half a minute to end by itself."""
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await runner.astop()
            await running
    except TimeoutError:
        _log.error("not all runs have ended after %d s; killing the others", _STOP_SECONDS)
        running.cancel()


async def _wait_for_end(end: asyncio.Event, server: Server) -> None:
    while not end.is_set():
        if server.has_ended:
            raise ServerError("the Prefect server has ended; start nightcast serve again")
        await asyncio.sleep(0.5)


def _end_event() -> asyncio.Event:
    """An event that SIGINT sets."""
    end, loop = asyncio.Event(), asyncio.get_running_loop()

    def wait() -> None:
        signal.sigwait({signal.SIGINT})
        loop.call_soon_threadsafe(end.set)

    threading.Thread(target=wait, daemon=True).start()
    # A library thread from before the signal was blocked may get it: Python then calls this handler.
    signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(end.set))
    return end


def _nightly_of(deployment: RunnerDeployment, panels: Mapping[str, Panel]) -> Panel | None:
    return panels[deployment.name] if deployment.flow_name == nightly.name else None


def _log_schedules(deployed: Sequence[Deployed]) -> None:
    now = datetime.now(UTC)
    for one in deployed:
        if one.nightly_of is not None:
            zone = one.nightly_of.schedule.timezone
            due = next(one.nightly_of.due_times(now, now + _YEAR), None)
            when = f"{due.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}" if due else "not within a year"
            _log.info("%s: next due %s", one.name, when)
