"""Run watcher: log which served runs start and how they end."""

import asyncio
import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from deployments.recovery import STOPPED
from forecasting.errors import ServerError, one_line

_log = logging.getLogger(__name__)

_SECONDS = 2.0
_LONGEST = 300
_PREFIX = "Flow run encountered an exception: "


class RunWatcher:
    """Logs the starts and ends of the runs of some deployments, each once.

    Args:
        client: a client of the server.
        deployments: the ids of the deployments; others may be added meanwhile.
        again: the command that serves again.
    """

    def __init__(self, client: PrefectClient, deployments: Collection[UUID], again: str) -> None:
        self._client = client
        self._again = again
        self._deployments = deployments
        self._born = datetime.now(UTC)
        self._since = self._born
        self._started: set[UUID] = set()
        self._ended: set[UUID] = set()

    async def watch(self) -> None:
        """Report every two seconds, without end.

        Raises:
            ServerError: the server does not answer any more, even after the client's own retries.
        """
        while True:
            try:
                await self.report()
            except httpx.HTTPError as error:
                raise ServerError(
                    f"the Prefect server at {self._client.api_url} does not answer any more ({error}); "
                    f"when it does, run again: {self._again}"
                ) from error
            await asyncio.sleep(_SECONDS)

    async def report(self) -> None:
        """Log what has happened since the last report."""
        ours = FlowRunFilterDeploymentId(any_=list(self._deployments))
        running = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING]))
        for run in await self._read(FlowRunFilter(deployment_id=ours, state=running)):
            self._log_start(run)
        ended = FlowRunFilterEndTime(after_=self._since)
        # The server's clock may differ, and runs end between reports.
        self._since = max(self._born, datetime.now(UTC) - timedelta(minutes=1))
        for run in await self._read(FlowRunFilter(deployment_id=ours, end_time=ended)):
            self._log_end(run)

    async def _read(self, wanted: FlowRunFilter) -> list[FlowRun]:
        return await self._client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.END_TIME_DESC)

    def _log_start(self, run: FlowRun) -> None:
        if run.id not in self._started:
            self._started.add(run.id)
            due = run.expected_start_time
            _log.info("%s: started%s", run.name, f", due {due:%Y-%m-%d %H:%M} UTC" if due else "")

    def _log_end(self, run: FlowRun) -> None:
        state = run.state
        if run.id in self._ended or state is None or not state.is_final():
            return
        self._ended.add(run.id)
        took = f" after {run.total_run_time.total_seconds():.0f} s" if run.total_run_time else ""
        message = "nightcast serve ends" if state.message == STOPPED else _one_line(state.message)
        reason = "" if state.is_completed() else f": {message}"
        _log.log(
            logging.INFO if state.is_completed() else logging.ERROR,
            "%s: %s%s%s",
            run.name,
            state.name.lower() if state.name else "ended",
            took,
            reason,
        )


def _one_line(text: str | None) -> str:
    line = one_line((text or "no reason given").removeprefix(_PREFIX))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
