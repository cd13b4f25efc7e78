"""Serve every panel's deployments on one machine: start a server if needed, and run what is due."""

import asyncio
import logging
import os
import shlex
import signal
import threading
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_HOME

from deployments.automations import apply_automations
from deployments.catalogue import ALL_FLOWS
from deployments.local_server import Server, prefect_server
from deployments.panel_folder import PanelFolder
from deployments.panel_runner import PanelRunner
from deployments.recovery import end_lost_runs
from deployments.run_watcher import RunWatcher
from deployments.served_panels import Place, ServedPanels, log_schedules
from deployments.server_errors import clear_server_errors
from forecasting.digests import digest_bytes
from forecasting.errors import ServerError
from tasks.events import WEBHOOK

_log = logging.getLogger(__name__)

_LOGGING = Path(__file__).parent / "logging.yml"
_STOP_SECONDS = 75


@dataclass(frozen=True)
class Serving:
    """What to serve.

    Attributes:
        folder: the panels folder, an absolute path.
        store: the store's URI.
        port: the port of the Prefect server that is started if none is configured.
        limit: how many runs may be at work at the same time; None for a default that fits the panels.
    """

    folder: Path
    store: str
    port: int
    limit: int | None

    @property
    def command(self) -> str:
        """The command that serves the same again, from any folder."""
        options = {"--panels": self.folder, "--store": self.store, "--port": self.port, "--limit": self.limit}
        given = [str(word) for pair in options.items() if pair[1] is not None for word in pair]
        return shlex.join(["nightcast", "serve", *given])


def serve_until_stopped(serving: Serving) -> None:
    """Serve until SIGTERM or SIGINT, then stop the runs and the server.

    Args:
        serving: what to serve.

    Raises:
        PanelError: there is no panel to serve.
        ServerError: the Prefect server does not answer, cannot be started, or has ended.
    """
    os.environ.setdefault("PREFECT_LOGGING_SETTINGS_PATH", str(_LOGGING))
    kept = Path(PREFECT_HOME.value()) / "nightcast-panels" / digest_bytes(bytes(serving.folder))[:16]
    folder = PanelFolder(serving.folder, kept)
    for name, error in folder.broken.items():
        _log.error("%s; %s", error, folder.fate(name))
    # Ctrl-C reaches every process of a terminal. It is blocked here, and so in all child processes. A thread
    # waits for it, and this process then stops the others in order.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # If the server is gone, Prefect prints tracebacks; the error raised below says enough.
    with prefect_server(serving.port) as server, redirect_stdout(None), clear_server_errors(server.api):
        asyncio.run(_serve(folder, serving, server))


class _End:
    """The end of serving: SIGINT or SIGTERM, or the end of the server.

    Args:
        server: the server that is used.
        again: the command that serves again.
    """

    def __init__(self, server: Server, again: str) -> None:
        self.server = server
        self._again = again
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        threading.Thread(target=self._wait_for_interrupt, daemon=True).start()
        # A library thread from before the signal was blocked may get it: Python then calls this handler.
        signal.signal(signal.SIGINT, lambda *_: self.call())

    def call(self) -> None:
        """End serving. May be called in any thread."""
        self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        """Wait for the end.

        Raises:
            ServerError: the server has ended.
        """
        while not self._event.is_set():
            if self.server.has_ended:
                raise ServerError(f"the Prefect server has ended; run again: {self._again}")
            await asyncio.sleep(0.5)

    def _wait_for_interrupt(self) -> None:
        signal.sigwait({signal.SIGINT})
        self.call()


async def _serve(folder: PanelFolder, serving: Serving, server: Server) -> None:
    end = _End(server, serving.command)
    runner = PanelRunner(len(folder.panels), serving.limit)
    async with get_client() as client:
        # Other shells know a configured server.
        place = Place(serving.store, None if server.is_configured else server.api)
        served = ServedPanels(client, runner, folder, place)
        await served.register_all()
        await _apply_notifications()
        if server.is_ours:
            await end_lost_runs(client, list(served.deployed.values()))
        active = await served.resolve_missed_runs()
        log_schedules(active)
        _log.info("serving %d deployments, %d runs at a time; stop with Ctrl-C", len(active), runner.limit)
        await _run(runner, served, RunWatcher(client, served.deployed, serving.command), end)


async def _apply_notifications() -> None:
    """If a webhook is set, let the server post to it, also about runs that a kill has left behind."""
    if webhook := os.environ.get(WEBHOOK):
        applied = await asyncio.to_thread(apply_automations, webhook, [flow.name for flow in ALL_FLOWS])
        _log.info("notifying the webhook of NIGHTCAST_WEBHOOK: %d automations", len(applied))


async def _run(runner: PanelRunner, served: ServedPanels, watcher: RunWatcher, end: _End) -> None:
    """Start runs, and tell of them, until the end."""
    runner.on_sigterm(end.call)
    running = asyncio.create_task(runner.start())
    others = [asyncio.create_task(one) for one in (watcher.watch(), served.follow(), end.wait())]
    try:
        done, _ = await asyncio.wait([running, *others], return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in done if task.exception() is not None]
        if runner.started and not failed:  # without a server, stopping the runs would take minutes
            _log.info("stopping")
            await _stop(runner, running)
        for task in [*failed, *done]:
            task.result()
        await watcher.report()
    finally:
        for task in others:
            task.cancel()


async def _stop(runner: PanelRunner, running: asyncio.Task[None]) -> None:
    """Stop the runs. Each has half a minute to end by itself."""
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await runner.astop()
            await running
    except TimeoutError:
        _log.error("not all runs have ended after %d s; killing the others", _STOP_SECONDS)
        running.cancel()
