"""Old runs are removed from a real server; recent ones, running ones and other people's stay."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prefect import flow, task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, LogCreate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Completed, Crashed, Failed, Running, Scheduled

from tasks.run_retention import remove_old_runs
from tests.prefect_server import PrefectServer

TAG = "panel:retention"


@task
def _task() -> None:
    """As above."""


@flow(name="of the retention tests")
def some_flow() -> None:
    """Only its name is needed."""


@pytest.fixture
def client(server: PrefectServer) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: server.api}), get_client(sync_client=True) as client:
        yield client


def make_run(
    client: SyncPrefectClient,
    state: State[None],
    tags: tuple[str, ...] = (TAG,),
    parent: UUID | None = None,
) -> FlowRun:
    """A run in that state, with a log line and an artifact."""
    run = client.create_flow_run(some_flow, tags=tags, parent_task_run_id=parent)
    client.set_flow_run_state(run.id, state, force=True)
    client.create_artifact(
        ArtifactCreate(key="retention-test", type="markdown", data="text", flow_run_id=run.id)
    )
    line = LogCreate(name="test", level=20, message="a line", timestamp=datetime.now(UTC), flow_run_id=run.id)
    client.create_logs([line])
    return run


def is_there(client: SyncPrefectClient, run: FlowRun) -> bool:
    try:
        client.read_flow_run(run.id)
    except ObjectNotFound:
        return False
    return True


def artifacts(client: SyncPrefectClient, run: FlowRun) -> int:
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
    return len(client.read_artifacts(artifact_filter=of_run))


def logs(client: SyncPrefectClient, run: FlowRun) -> int:
    return len(client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))))


def wait_until_gone(client: SyncPrefectClient, run: FlowRun) -> None:
    """The server removes logs in the background."""
    for _ in range(100):
        if not logs(client, run):
            return
        time.sleep(0.2)
    raise TimeoutError("the logs are still there after 20 s")


def test_old_runs_go_with_all_that_is_theirs_and_no_others(client: SyncPrefectClient) -> None:
    old = [make_run(client, state) for state in (Completed(), Failed(), Crashed(), Cancelled())]
    task_run = client.create_task_run(_task, old[0].id, "0", state=Completed())
    child = make_run(client, Completed(), tags=(), parent=task_run.id)
    foreign = make_run(client, Completed(), tags=("someone", "panel:other"))
    at_work = [make_run(client, state) for state in (Running(), Scheduled())]
    before = datetime.now(UTC)
    recent = make_run(client, Completed())

    assert remove_old_runs.fn([TAG, "panel:gone"], before - timedelta(hours=1), dry_run=False) == 0
    assert remove_old_runs.fn([TAG, "panel:gone"], before, dry_run=True) == len(old)
    assert is_there(client, old[0])
    assert remove_old_runs.fn([TAG, "panel:gone"], before, dry_run=False) == len(old) + 1

    assert [is_there(client, run) for run in (*old, child)] == [False] * 5
    assert [artifacts(client, run) for run in (*old, child)] == [0] * 5
    with pytest.raises(ObjectNotFound):
        client.read_task_run(task_run.id)
    wait_until_gone(client, old[0])
    for run in (*at_work, foreign, recent):
        assert is_there(client, run)
        assert (artifacts(client, run), logs(client, run)) == (1, 1)
    (latest,) = [one for one in client.read_latest_artifacts() if one.key == "retention-test"]
    assert latest.flow_run_id == recent.id


def test_more_than_a_page_goes_in_one_call(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.run_retention._PAGE", 2)
    monkeypatch.setattr("tasks.run_retention._AT_MOST", 5)
    for _ in range(6):
        client.set_flow_run_state(client.create_flow_run(some_flow, tags=["panel:paged"]).id, Completed())
    before = datetime.now(UTC)
    assert remove_old_runs.fn(["panel:paged"], before, dry_run=True) == 5
    assert remove_old_runs.fn(["panel:paged"], before, dry_run=False) == 5
    assert remove_old_runs.fn(["panel:paged"], before, dry_run=False) == 1
