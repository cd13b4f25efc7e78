"""Serve: every panel's deployments on one machine, from a server to the runs, until told to end."""

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
from deployments.catching_up import Deployed, end_lost_runs, pause_left_over, settle_missed_runs
from deployments.local_server import Server, prefect_server
from deployments.run_news import RunNews
from flows.nightly import nightly
from forecasting.errors import ServerError
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
        panels: all there are in `folder`.
        store: the store's URI.
        folder: the panels' folder, an absolute path.
        limit: how many runs go on at once.
    """

    panels: Sequence[Panel]
    store: str
    folder: str
    limit: int


def serve_until_told(serving: Serving, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then end what was started; a server on `port` too if none is configured.

    Raises:
        ServerError: Prefect's server does not answer, cannot be started, or has ended.
    """
    os.environ.setdefault("PREFECT_LOGGING_SETTINGS_PATH", str(_LOGGING))
    deployments = deployments_of(serving.panels, serving.store, serving.folder)
    # Ctrl-C reaches every process of a terminal: blocked here, and so in what is started here, it is waited
    # for by one thread, and this process ends the others in their order.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # Where the server is gone, Prefect prints tracebacks; what there is to say is in the error below.
    with prefect_server(port) as server, redirect_stdout(None):
        asyncio.run(_serve(deployments, serving, server))


class _Runner(Runner):
    """Prefect's runner, but for SIGTERM: its own handler stops it from a thread with another event loop."""

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
        await _have_it_notify(flows)
        await pause_left_over(client, deployed, flows, serving.folder)
        if server.is_ours:
            await end_lost_runs(client, deployed)
        api = None if server.is_configured else server.api  # other shells know a configured server
        active = [one for one in deployed if await settle_missed_runs(client, one, serving.store, api)]
        _tell_schedules(active)
        _log.info("serving %d deployments, %d runs at a time; Ctrl-C ends it", len(active), serving.limit)
        await _run(runner, RunNews(client, [one.id for one in deployed]), server, end)


async def _have_it_notify(flows: Sequence[str]) -> None:
    """Where a webhook is set, have the server post to it, also of the runs that a kill has left."""
    if webhook := os.environ.get(WEBHOOK):
        applied = await asyncio.to_thread(apply_automations, webhook, flows)
        _log.info("notifying the webhook of NIGHTCAST_WEBHOOK: %d automations", len(applied))


async def _register(client: PrefectClient, runner: _Runner, deployment: RunnerDeployment) -> UUID:
    """Make the deployment, or bring it up to date: active and without a work pool, but paused if it was."""
    known = await client.read_deployments(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[deployment.flow_name or ""])),
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[deployment.name])),
    )
    deployment.paused = any(one.paused for one in known)
    deployment.work_pool_name = None
    deployment.work_queue_name = None
    return await runner.aadd_deployment(deployment)


async def _run(runner: _Runner, news: RunNews, server: Server, end: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    runner.on_sigterm(lambda: loop.call_soon_threadsafe(end.set))
    running = asyncio.create_task(runner.start())
    others = [asyncio.create_task(news.tell_for_ever()), asyncio.create_task(_wait_for_end(end, server))]
    try:
        done, _ = await asyncio.wait([running, *others], return_when=asyncio.FIRST_COMPLETED)
        if runner.started and not server.has_ended:
            _log.info("ending")
            await _stop(runner, running)
        for task in done:
            task.result()
        await news.tell()
    finally:
        for task in others:
            task.cancel()


async def _stop(runner: _Runner, running: asyncio.Task[None]) -> None:
    """End the runs, each of which has half a minute to do so itself."""
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await runner.astop()
            await running
    except TimeoutError:
        _log.error("not all runs have ended after %d s; they are killed", _STOP_SECONDS)
        running.cancel()


async def _wait_for_end(end: asyncio.Event, server: Server) -> None:
    while not end.is_set():
        if server.has_ended:
            raise ServerError("the Prefect server has ended; start nightcast serve again")
        await asyncio.sleep(0.5)


def _end_event() -> asyncio.Event:
    """Set by SIGINT."""
    end, loop = asyncio.Event(), asyncio.get_running_loop()

    def wait() -> None:
        signal.sigwait({signal.SIGINT})
        loop.call_soon_threadsafe(end.set)

    threading.Thread(target=wait, daemon=True).start()
    # For a thread of a library that was there before the signal was blocked: Python hands it on to this one.
    signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(end.set))
    return end


def _nightly_of(deployment: RunnerDeployment, panels: Mapping[str, Panel]) -> Panel | None:
    return panels[deployment.name] if deployment.flow_name == nightly.name else None


def _tell_schedules(deployed: Sequence[Deployed]) -> None:
    now = datetime.now(UTC)
    for one in deployed:
        if one.nightly_of is not None:
            zone = one.nightly_of.schedule.timezone
            due = next(one.nightly_of.due_times(now, now + _YEAR), None)
            when = f"{due.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}" if due else "not within a year"
            _log.info("%s: due next %s", one.name, when)
