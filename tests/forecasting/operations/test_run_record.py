"""The record of a panel's last run."""

import json

from forecasting.operations.run_record import RunRecord, read_run_record, write_run_record
from forecasting.records import seal
from forecasting.storage import Storage

PUBLISHED = RunRecord(
    panel="tiny",
    outcome="published",
    due_at="2026-11-19T15:30:00+00:00",
    ended_at="2026-11-19T15:31:00+00:00",
    flow_run_id="run",
    as_of="2026-11-19",
    forecast_id="abc",
)


def test_a_record_is_read_as_it_was_written_the_last_one_counts(storage: Storage) -> None:
    assert read_run_record(storage, "tiny") is None
    write_run_record(storage, RunRecord("tiny", "failed", "a", "b", "c", error="SourceError", message="no"))
    write_run_record(storage, PUBLISHED)
    assert read_run_record(storage, "tiny") == PUBLISHED


def test_the_object_is_the_one_that_the_contract_documents(local_storage: Storage) -> None:
    write_run_record(local_storage, PUBLISHED)
    found = json.loads(local_storage.get("status/tiny.json"))
    assert len(found.pop("record_sha256")) == 64
    assert found == {
        "panel": "tiny",
        "outcome": "published",
        "due_at": "2026-11-19T15:30:00+00:00",
        "ended_at": "2026-11-19T15:31:00+00:00",
        "flow_run_id": "run",
        "as_of": "2026-11-19",
        "forecast_id": "abc",
        "error": None,
        "message": None,
    }


def test_a_field_of_a_later_version_is_passed_over(local_storage: Storage) -> None:
    write_run_record(local_storage, PUBLISHED)
    local_storage.put("status/tiny.json", seal({**PUBLISHED.to_record(), "mood": "good"}))
    assert read_run_record(local_storage, "tiny") == PUBLISHED
