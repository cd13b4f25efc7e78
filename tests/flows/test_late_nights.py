"""Nights that are late, against a real Prefect server; what is due when follows from the scheduled time."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from obstore.exceptions import GenericError
from prefect import Flow, State
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL
from prefect.states import Scheduled

from flows.nightly import nightly
from flows.retrain import retrain
from forecasting.as_of import to_instant
from forecasting.digests import digest_bytes
from forecasting.errors import AuditError, SourceError
from forecasting.models.training_places import training_place
from forecasting.night import NightResult
from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.publishing import reader
from forecasting.publishing.address import as_of_folder
from forecasting.publishing.decisions import Decision, DecisionLog
from forecasting.publishing.manifest import Manifest
from forecasting.publishing.publish import find_manifests
from forecasting.records import SEAL, seal
from forecasting.reports.summary import standing_line
from forecasting.scoring.track_record import read_tally
from forecasting.storage import Storage
from tasks.deadline import choose_stand_in
from tests.conftest import TINY_PANEL, write_prices

pytestmark = pytest.mark.usefixtures("prefect_server")

FIRST_DUE = datetime(2026, 10, 30, 6, tzinfo=UTC)
NEXT_DUE = datetime(2026, 10, 31, 6, tzinfo=UTC)  # of the bar 2026-10-30, which the store has by then
LATER_DUE = datetime(2026, 11, 1, 6, tzinfo=UTC)
# The command line, whose run begins its work, says so, and goes on once there is a file `go`.
SLOW_RUN = """
import sys, time
from pathlib import Path
from deployments import environment
environment.prepare()
from deployments.start import main
from flows import nightly
audit_prices = nightly.audit_prices
def slowly(*given):
    print("at work", flush=True)
    while not Path(sys.argv[2]).with_name("go").exists():
        time.sleep(0.05)
    return audit_prices(*given)
nightly.audit_prices = slowly
main()
"""


@pytest.fixture(scope="module")
def late_night(
    tmp_path_factory: pytest.TempPathFactory,
    prefect_server: None,  # noqa: ARG001 - it must be there before
) -> tuple[Path, Manifest]:
    """The folder of a panel whose first run started weeks late, after its deadline; the run's manifest.

    Its training had to wait for a place, which must not keep the early forecast back.
    """
    folder = tmp_path_factory.mktemp("late")
    prices_to(folder, "2026-10-30")
    (folder / "tiny.toml").write_text(f"{TINY_PANEL}[schedule]\ndeadline_minutes = 60\n", encoding="utf-8")
    with the_only_place_taken(folder):
        return folder, run(folder, FIRST_DUE).manifest


@contextmanager
def the_only_place_taken(folder: Path) -> Iterator[None]:
    """Another training has the only place on this machine until an early forecast is published."""
    taken = threading.Event()

    def hold() -> bool:
        with training_place("other"):
            taken.set()
            for _ in range(1200):
                if published(folder, "2026-10-29"):
                    return True
                time.sleep(0.1)
        return False

    with (
        pytest.MonkeyPatch.context() as patch,
        ThreadPoolExecutor(1) as another,
    ):
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setenv("NIGHTCAST_TRAININGS", "1")
        waited = another.submit(hold)
        assert taken.wait(timeout=60)
        yield
        assert waited.result(), "no early forecast came while the training waited for its place"


@pytest.fixture
def night(late_night: tuple[Path, Manifest], tmp_path: Path) -> Path:
    """A copy of it, to do with as one likes."""
    return Path(shutil.copytree(late_night[0], tmp_path / "night"))


def prices_to(folder: Path, last: str) -> None:
    bars = 400 + int(last[-2:]) - 30
    write_prices(folder / "prices.csv", {"AAA": bars, "BBB": bars, "C/C": bars}, last=last)


def run(folder: Path, due: datetime, flow: Flow[..., Any] = nightly) -> NightResult:
    """Run the flow as one that was scheduled for `due`, and starts now."""
    parameters = {"panel": str(folder / "tiny.toml"), "store": str(folder / "store")}
    with get_client(sync_client=True) as client:
        flow_run = client.create_flow_run(flow, parameters=parameters, state=Scheduled(scheduled_time=due))
    result = run_flow(flow, flow_run=flow_run)
    assert isinstance(result, NightResult)
    return result


def slots_taken(limit: str) -> int:
    with get_client(sync_client=True) as client:
        return client.read_global_concurrency_limit_by_name(limit).active_slots


def published(folder: Path, as_of: str) -> list[Manifest]:
    return [one for _, one in find_manifests(Storage(str(folder / "store")), as_of_folder("tiny", as_of))]


def test_a_night_of_a_schedule_that_starts_after_a_later_one_was_due_is_only_named(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY_PANEL, encoding="utf-8")  # there are no prices to take
    parameters = {"panel": str(tmp_path / "tiny.toml"), "store": str(tmp_path / "store")}
    due = datetime.now(UTC).replace(hour=6, minute=0, second=0, microsecond=0) - timedelta(days=3)
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow(nightly), name="missed", paused=True)
        flow_run = client.create_flow_run_from_deployment(
            deployment, parameters=parameters, state=Scheduled(scheduled_time=due)
        )
        ended = run_flow(nightly, flow_run=flow_run, return_type="state")
    assert isinstance(ended, State)
    assert (ended.name, ended.is_completed()) == ("Missed", True)
    day = f"{due - timedelta(days=1):%Y-%m-%d}"
    assert f"run: nightcast backfill tiny --start {day} --end {day} --store {tmp_path}/store" in str(
        ended.message
    )
    assert list((tmp_path / "store").rglob("*")) == []  # no status record either


def test_a_run_that_starts_late_has_the_as_of_of_its_scheduled_time(
    late_night: tuple[Path, Manifest],
) -> None:
    assert late_night[1].as_of == "2026-10-29"


def test_a_late_training_publishes_twice_and_the_final_one_counts(
    late_night: tuple[Path, Manifest],
) -> None:
    folder, manifest = late_night
    early, final = published(folder, "2026-10-29")
    assert early.provisional == "the training had not finished by the deadline, 2026-10-30 07:00 UTC"
    assert early.model == "ewma_walk"
    assert final.forecast_id == manifest.forecast_id != early.forecast_id
    assert final.provisional is None
    assert early.rows_digest == final.rows_digest
    for frame in (
        reader.latest("tiny", str(folder / "store")),
        reader.as_of("tiny", "2026-10-29", str(folder / "store")),
    ):
        assert set(frame["forecast_id"]) == {final.forecast_id}


def test_report_and_summary_of_an_early_forecast_say_that_it_is_provisional(
    late_night: tuple[Path, Manifest],
) -> None:
    folder, _ = late_night
    early, final = (
        next((folder / "store").rglob(f"id={one.forecast_id}/_report.html")).read_text(encoding="utf-8")
        for one in published(folder, "2026-10-29")
    )
    line = "Provisional: the training had not finished by the deadline, 2026-10-30 07:00 UTC."
    assert line in early
    assert line not in final
    with get_client(sync_client=True) as client:
        shown = [one.data for one in client.read_artifacts() if one.key == "forecast-tiny"]
    assert any(line in str(text) for text in shown)


def test_a_late_source_is_asked_again_until_it_has_the_bar(
    night: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tasks.deadline")
    set_deadline(night, 10_000_000)
    (night / "prices.csv").unlink()
    comes, held = iter(["2026-10-30", "2026-10-31"]), []

    def sleep(_: float) -> None:
        held.append(slots_taken("nightcast-tiny"))
        prices_to(night, next(comes))

    monkeypatch.setattr("tasks.deadline.time", SimpleNamespace(sleep=sleep))
    manifest = run(night, LATER_DUE).manifest
    assert (manifest.as_of, manifest.provisional) == ("2026-10-31", None)
    assert next(comes, None) is None
    assert held == [0, 0]  # another run of the panel could go on meanwhile
    assert "no file at" in caplog.text
    assert "no bar of 2026-10-31 yet; asking again in 180 s" in caplog.text


def test_when_the_source_brings_nothing_by_the_deadline_the_last_forecast_stands_and_all_say_so(
    night: Path,
) -> None:
    run(night, NEXT_DUE)
    before = published(night, "2026-10-30")
    result = run(night, LATER_DUE)
    manifest = result.manifest
    assert not result.is_new
    assert published(night, "2026-10-30") == before
    assert published(night, "2026-10-31") == []
    assert manifest.forecast_id == before[-1].forecast_id
    line = f"Nothing new: forecast {manifest.forecast_id}, published "
    assert standing_line(manifest).startswith(line)
    assert standing_line(manifest).endswith("from the same prices up to 2026-10-30 with the same model.")
    with get_client(sync_client=True) as client:
        shown = {one.key: one.data for one in client.read_latest_artifacts()}
    assert line in shown["forecast-tiny"]


def test_a_night_whose_bars_came_after_the_deadline_is_named_by_the_next_one(
    night: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prices_to(night, "2026-10-31")
    manifest = run(night, LATER_DUE).manifest
    assert manifest.as_of == "2026-10-31"
    line = "run: nightcast backfill tiny --start 2026-10-30 --end 2026-10-30"
    assert line in caplog.text
    with get_client(sync_client=True) as client:
        shown = {one.key: one.data for one in client.read_latest_artifacts()}
    assert line in shown["forecast-tiny"]


def test_a_source_that_cannot_be_read_by_the_deadline_fails_a_run_with_nothing_to_publish(
    night: Path,
) -> None:
    (night / "prices.csv").unlink()
    with pytest.raises(SourceError, match=r"prices\.csv"):
        run(night, FIRST_DUE)


@pytest.mark.parametrize(
    "outage", [GenericError("connection refused\nClientOptions { ... }"), TimeoutError("connection refused")]
)
def test_a_store_outage_while_a_stand_in_publishes_does_not_stop_the_final_forecast(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, outage: Exception
) -> None:
    def refuse(*_: object) -> None:
        raise outage

    prices_to(tmp_path, "2026-10-30")
    (tmp_path / "tiny.toml").write_text(f"{TINY_PANEL}[schedule]\ndeadline_minutes = 60\n", encoding="utf-8")
    monkeypatch.setattr("forecasting.operations.deadline.has_final", refuse)
    monkeypatch.setattr("flows.steps.choose_stand_in", choose_stand_in.with_options(retries=0))
    manifest = run(tmp_path, FIRST_DUE).manifest
    assert "deadline: no stand-in is published: connection refused\n" in caplog.text
    assert manifest.provisional is None
    assert [one.forecast_id for one in published(tmp_path, "2026-10-29")] == [manifest.forecast_id]


def test_a_damaged_champion_costs_neither_the_early_forecast_nor_the_final_one(
    night: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "forecasting")
    storage = Storage(str(night / "store"))
    (before,) = (log := DecisionLog(storage, "tiny")).all()
    champion, network = before.challenger, b"not what Keras reads"
    log.append(replace(before, model="stacked_lstm", version=champion, best=champion, by_hand=True))
    folder = f"models/tiny/{champion}"
    metadata = json.loads(storage.get(f"{folder}/metadata.json"))
    metadata |= {"sha256": digest_bytes(network), "package_version": "0.0.9"}
    del metadata[SEAL]
    storage.put(f"{folder}/model.keras", network)
    storage.put(f"{folder}/metadata.json", seal(metadata))
    manifest = run(night, NEXT_DUE).manifest
    early, final = published(night, "2026-10-30")
    assert early.provisional
    assert early.model == "ewma_walk"
    assert (final.forecast_id, final.provisional) == (manifest.forecast_id, None)
    assert f"Champion {champion} did not compete: it cannot be loaded." in final.decision.reason
    assert f"retraining, because model {champion} cannot be loaded" in caplog.text


def test_a_source_that_cannot_be_read_by_the_deadline_leaves_what_the_store_has(night: Path) -> None:
    panel, storage = Panel.load(night / "tiny.toml"), Storage(str(night / "store"))
    ingest(panel, storage, to_instant(NEXT_DUE))
    (night / "prices.csv").unlink()
    manifest = run(night, NEXT_DUE).manifest
    assert (manifest.as_of, manifest.provisional) == ("2026-10-30", None)


def test_the_breaker_ends_a_run_at_once(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_deadline(night, 10_000_000)
    write_prices(night / "prices.csv", {"AAA": 400})
    monkeypatch.setattr("tasks.deadline.time", SimpleNamespace(sleep=lambda _: pytest.fail("it waits")))
    with pytest.raises(AuditError, match="P203"):
        run(night, NEXT_DUE)


def test_a_retry_of_the_flow_keeps_the_as_of(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.audit import take_snapshot  # noqa: PLC0415 - as the task knows it, before it is replaced

    due: list[datetime] = []

    def fails_once(*args: Any) -> Any:
        due.append(args[-1])
        if len(due) == 1:
            raise RuntimeError("a fault that a retry mends")
        return take_snapshot(*args)

    monkeypatch.setattr("tasks.audit.take_snapshot", fails_once)
    manifest = run(night, FIRST_DUE, nightly.with_options(retries=1)).manifest
    assert manifest.as_of == "2026-10-29"
    assert due == [FIRST_DUE, FIRST_DUE]


def test_retrain_trains_now_and_publishes_only_when_asked_to(night: Path) -> None:
    parameters = {"panel": str(night / "tiny.toml"), "store": str(night / "store")}
    before = DecisionLog(Storage(str(night / "store")), "tiny").all()
    decision = retrain(**parameters, publish=False)
    assert len(before) == 1
    assert isinstance(decision, Decision)
    assert (decision.as_of, decision.trained_for) == ("2026-10-30", "2026-10-30")
    assert decision.challenger != before[0].challenger
    assert published(night, "2026-10-30") == []
    tally = read_tally(Storage(parameters["store"]), "tiny")  # the night before could not score its own
    assert set(zip(tally["as_of"].dt.strftime("%Y-%m-%d"), tally["rows"], strict=True)) == {("2026-10-29", 1)}

    result = retrain(**parameters)
    assert isinstance(result, NightResult)
    manifest = result.manifest
    assert manifest.decision == decision
    assert [one.forecast_id for one in published(night, "2026-10-30")] == [manifest.forecast_id]


def test_of_two_runs_at_once_the_second_waits_and_finds_the_work_done(
    night: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tasks")
    set_deadline(night, 0)  # with one, both would wait for a source that is weeks behind today
    parameters = {"panel": str(night / "tiny.toml"), "store": str(night / "store")}
    command = [sys.executable, "-c", SLOW_RUN, "run", parameters["panel"], "--store", parameters["store"]]
    environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
    waits = "limit: tiny waits for tiny 20"

    def let_go() -> None:
        for _ in range(600):
            if waits in caplog.text:
                break
            time.sleep(0.1)
        (night / "go").touch()

    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert "at work\n" in iter(first.stdout.readline, "")
        helper = threading.Thread(target=let_go)
        helper.start()
        second = nightly(**parameters)
        helper.join()
        printed = first.stdout.read()
    assert first.returncode == 0, printed
    assert waits in caplog.text
    assert not second.is_new
    assert second.manifest.forecast_id in printed
    assert [one.forecast_id for one in published(night, "2026-10-30")] == [second.manifest.forecast_id]
    pointer = json.loads((night / "store" / "latest" / "tiny.json").read_text())
    assert pointer["forecast_id"] == second.manifest.forecast_id


def set_deadline(folder: Path, minutes: int) -> None:
    panel = folder / "tiny.toml"
    panel.write_text(panel.read_text().replace("deadline_minutes = 60", f"deadline_minutes = {minutes}"))
