"""Run retention: remove Nightcast's old runs from the Prefect server, to keep its database small."""

import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from prefect import task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import TERMINAL_STATES
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound

from tasks.options import STEP

_log = logging.getLogger(__name__)

_PAGE = 100
# One or two calls each. More than a year of a few panels; the next maintenance run removes the rest.
_AT_MOST = 5000


@task(name="remove old runs", **STEP)
def remove_old_runs(tags: Sequence[str], before: datetime, *, dry_run: bool) -> int:
    """Remove the flow runs with one of `tags` that ended before `before`, and return how many.

    Each run's task runs, logs and artifacts are removed too, and the flow runs that it called: these have no
    tags of their own. A dry run only counts.
    """
    ended = FlowRunFilter(
        tags=FlowRunFilterTags(any_=list(tags)),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=sorted(TERMINAL_STATES))),
        end_time=FlowRunFilterEndTime(before_=before),
    )
    with get_client(sync_client=True) as client:
        old = _found(client, ended)[:_AT_MOST]
        count = 0 if dry_run else sum(_remove(client, run) for run in old)
    if len(old) == _AT_MOST:
        _log.info("maintenance: there may be more old runs; the next maintenance run removes them")
    return len(old) if dry_run else count


def _found(client: SyncPrefectClient, wanted: FlowRunFilter) -> list[UUID]:
    """The ids of the runs that pass the filter: up to `_AT_MOST` of them, and the rest of the last page."""
    found: list[UUID] = []
    while len(found) < _AT_MOST:
        page = client.read_flow_runs(
            flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=_PAGE, offset=len(found)
        )
        found += [run.id for run in page]
        if len(page) < _PAGE:
            break
    return found


def _remove(client: SyncPrefectClient, run: UUID) -> int:
    """Remove one run and the runs that it called, and return how many.

    The server removes a run's task runs and logs but not its artifacts, so they are removed first. The run
    itself is removed last, so that the next maintenance run finishes a removal that was killed.
    """
    called = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run]))
    count = sum(_remove(client, child) for child in _found(client, called))
    own = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
    try:
        while artifacts := client.read_artifacts(flow_run_filter=own, limit=_PAGE):
            for artifact in artifacts:
                client.delete_artifact(artifact.id)
        client.delete_flow_run(run)
    except ObjectNotFound:  # another maintenance run or a person removed it
        return count
    return count + 1
