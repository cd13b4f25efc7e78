"""The deployments of `nightcast serve`: registers them, and follows the panel files while it serves."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowFilter,
    FlowFilterName,
)
from prefect.deployments.runner import RunnerDeployment

from deployments.catalogue import ALL_FLOWS, deployments_of
from deployments.panel_folder import Change, PanelFolder
from deployments.panel_runner import PanelRunner
from deployments.recovery import LEFT_OVER, Deployed, pause_left_over, resolve_missed_runs
from flows.nightly import nightly
from flows.parameters import ALL
from forecasting.panel import Panel

if TYPE_CHECKING:
    from uuid import UUID

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
_YEAR = timedelta(days=366)
_PAUSED = "its deployments are paused until it is back, and its runs at work go on to their end"


@dataclass(frozen=True)
class Place:
    """Where the served runs work.

    Attributes:
        store: the store's URI.
        server: the API address of the Prefect server if other shells do not know it.
    """

    store: str
    server: str | None


class ServedPanels:
    """The deployments on the server of the panels in a folder.

    Args:
        client: a client of the server.
        runner: starts the runs.
        folder: the panels.
        place: the store and the server.
    """

    def __init__(self, client: PrefectClient, runner: PanelRunner, folder: PanelFolder, place: Place) -> None:
        self._client, self._runner, self._folder, self._place = client, runner, folder, place
        # Also those of panels that are gone, whose last runs may still be at work.
        self.deployed: dict[UUID, Deployed] = {}

    async def register_all(self) -> None:
        """Register all deployments, and pause those of panels that are not in the folder any more."""
        for deployment in await self._deployments():
            await self._register(deployment)
        for name in await self._pause_left_over():
            _log.info("%s: not in %s any more; %s", name, self._folder.path, _PAUSED)

    async def resolve_missed_runs(self, name: str | None = None) -> list[Deployed]:
        """Put the runs that were missed in order, of one panel or of all; return the active deployments."""
        return [
            one
            for one in self.deployed.values()
            if (name is None or one.panel == name)
            and await resolve_missed_runs(self._client, one, self._place.store, self._place.server)
        ]

    async def follow(self) -> None:
        """Take in new, changed and removed panel files, without end."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for change in await asyncio.to_thread(self._folder.look):
                await self._take_in(change)

    async def _take_in(self, change: Change) -> None:
        is_gone, is_bad = change.panel is None, change.name in self._folder.broken
        # The form of maintenance lists the panels.
        changed = {ALL} if is_gone else {change.name, ALL} if change.is_new else {change.name}
        for deployment in await self._deployments():
            if deployment.name in changed:
                await self._register(deployment)
        if is_gone and not is_bad:
            await self._pause_left_over()
        self._tell(change, is_bad=is_bad)
        self._runner.fit_limit(len(self._folder.panels))
        if change.is_new:
            await self.resolve_missed_runs(change.name)

    @staticmethod
    def _tell(change: Change, *, is_bad: bool) -> None:
        outcome = [next_due(change.panel)] if change.panel else [] if is_bad else [_PAUSED]
        level = logging.ERROR if is_bad else logging.INFO
        _log.log(level, "%s", "; ".join([change.text, *outcome]))

    async def _deployments(self) -> list[RunnerDeployment]:
        panels, folder = self._folder.panels, str(self._folder.path)
        references = {panel.name: self._folder.reference(panel.name) for panel in panels}
        # In a thread: in that of an event loop, Prefect would return coroutines.
        return await asyncio.to_thread(deployments_of, panels, self._place.store, folder, references)

    async def _register(self, deployment: RunnerDeployment) -> None:
        """Create or update the deployment, without a work pool. One that a person paused stays paused."""
        known = await self._client.read_deployments(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[deployment.flow_name or ""])),
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[deployment.name])),
        )
        deployment.paused = any(one.paused and LEFT_OVER not in one.tags for one in known)
        deployment.work_pool_name = None
        deployment.work_queue_name = None
        made = await self._runner.aadd_deployment(deployment)
        panels = {panel.name: panel for panel in self._folder.panels}
        panel = panels[deployment.name] if deployment.flow_name == nightly.name else None
        self.deployed[made] = Deployed(made, deployment.full_name, panel)

    async def _pause_left_over(self) -> list[str]:
        served = {panel.name for panel in self._folder.panels} | {ALL}
        current = [one for one in self.deployed.values() if one.panel in served]
        flows = [flow.name for flow in ALL_FLOWS]
        folder = str(self._folder.path)
        return await pause_left_over(self._client, current, flows, folder, self._folder.broken)


def next_due(panel: Panel) -> str:
    """When the panel's nightly run is due next, in its time zone."""
    now = datetime.now(UTC)
    zone = panel.schedule.timezone
    due = next(panel.due_times(now, now + _YEAR), None)
    if due is None:
        return "not due within a year"
    return f"next due {due.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


def log_schedules(active: Sequence[Deployed]) -> None:
    """Log when each panel's nightly run is due next."""
    for one in active:
        if one.nightly_of is not None:
            _log.info("%s: %s", one.name, next_due(one.nightly_of))
