"""What is done once a run has ended: the record in the store, and who gets to hear of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas import FlowRun
from prefect.context import get_run_context

from flows.hooks import ALARMED, WATCHED
from forecasting.errors import AuditError, SourceError
from forecasting.findings import Finding
from forecasting.night import NightResult
from forecasting.operations.run_record import RunRecord, read_run_record
from forecasting.prices.audit.rules import SHRANK
from forecasting.publishing.address import FORECAST, INDEX, ForecastAddress
from forecasting.publishing.manifest import Manifest
from forecasting.reports.landing import card_path
from forecasting.storage import Storage
from tests.receiver import Receiver, receiver

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver() as started:
        monkeypatch.setenv("NIGHTCAST_WEBHOOK", started.url)
        yield started


def end(panel: Path, outcome: Exception | NightResult, **parameters: Any) -> RunRecord | None:
    """Have a watched run of the panel end so; the record that is there then."""

    @flow(name="nightly", **WATCHED)
    def night(panel: str, store: str, as_of: str | None = None) -> NightResult:  # noqa: ARG001
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    store = str(panel.parent / "store")
    state = night(panel=str(panel), store=store, **parameters, return_state=True)
    assert state.is_failed() == isinstance(outcome, Exception)
    return read_run_record(Storage(store), "tiny")


def test_a_run_has_the_tag_of_its_panel_and_its_tasks_have_none(tiny_panel: Path) -> None:
    @task
    def step() -> str:
        return "done"

    @flow(**ALARMED)
    def work(panel: str) -> tuple[FlowRun, str]:  # noqa: ARG001
        state = step(return_state=True)
        return get_run_context().flow_run, str(state.state_details.task_run_id)

    with get_client(sync_client=True) as client:
        run, task_run = work(panel=str(tiny_panel))
        assert client.read_flow_run(run.id).tags == ["panel:tiny"]
        assert client.read_task_run(UUID(task_run)).tags == []


def test_a_failed_run_is_recorded_and_told(
    tiny_panel: Path, events: list[tuple[str, dict[str, Any]]], there: Receiver
) -> None:
    record = end(tiny_panel, SourceError("no file at prices.csv\nand more"))
    assert record is not None
    assert (record.outcome, record.error, record.message) == (
        "failed",
        "SourceError",
        "no file at prices.csv",
    )
    assert record.due_at <= record.ended_at
    ((event, payload),) = events
    assert event == "nightcast.run.failed"
    assert (payload["panel"], payload["flow_run_id"]) == ("tiny", record.flow_run_id)
    (message,) = there.messages
    assert message["text"] == "Nightcast: nightly of tiny failed: no file at prices.csv"
    assert message.items() >= {"event": "nightcast.run.failed", "panel": "tiny"}.items()


def test_a_run_that_the_audit_stopped_is_told_as_such_and_once(
    tiny_panel: Path, events: list[tuple[str, dict[str, Any]]], there: Receiver
) -> None:
    record = end(tiny_panel, AuditError.of(Finding.of(SHRANK, "", 5, "It lost most."), ()))
    assert record is not None
    assert record.error == "AuditError"
    assert [event for event, _ in events] == ["nightcast.breaker.tripped"]
    (message,) = there.messages
    assert message["text"] == (
        "Nightcast: the audit stopped nightly of tiny, and the last forecast stands: "
        "P203 source shrank: It lost most."
    )


def test_what_a_run_published_is_recorded_or_that_it_was_there_before(
    tiny_panel: Path, events: list[tuple[str, dict[str, Any]]]
) -> None:
    when = "2026-10-31T06:00:00Z"
    address = ForecastAddress("tiny", "2026-10-30", "abc")
    manifest = Manifest.of(address, objects={FORECAST: "0"}, known_at=when, published_at=when)
    for is_new, outcome in [(False, "nothing new"), (True, "published")]:
        record = end(tiny_panel, NightResult(manifest, is_new=is_new))
        assert record is not None
        assert (record.outcome, record.as_of, record.forecast_id) == (outcome, "2026-10-30", "abc")
    assert events == []


def test_a_run_for_a_given_date_leaves_the_record_alone(tiny_panel: Path) -> None:
    assert end(tiny_panel, SourceError("no file"), as_of="2020-01-01") is None


def test_a_receiver_that_is_down_fails_nothing(tiny_panel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTCAST_WEBHOOK", "nowhere")
    record = end(tiny_panel, SourceError("no file"))
    assert record is not None
    assert record.message == "no file"


def test_a_panel_that_cannot_be_read_is_told_of(
    tiny_panel: Path, events: list[tuple[str, dict[str, Any]]]
) -> None:
    tiny_panel.write_text("junk")
    assert end(tiny_panel, SourceError("no file")) is None
    assert events[0][1]["panel"] == "tiny"


def test_a_failed_run_is_shown_on_the_landing_page(tiny_panel: Path) -> None:
    end(tiny_panel, SourceError("no file at prices.csv"))
    store = Storage(str(tiny_panel.parent / "store"))
    assert 'data-panel="tiny"' in store.get(INDEX).decode()
    assert "ended with: no file at prices.csv" in store.get(card_path("tiny")).decode()


def test_a_page_that_cannot_be_written_fails_no_run(
    tiny_panel: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("forecasting.operations.landing_page.write_index", fail)
    record = end(tiny_panel, SourceError("no file at prices.csv"))
    assert record is not None
    assert "landing page: not updated for tiny, the next run tries again: OSError: disk full" in caplog.text
