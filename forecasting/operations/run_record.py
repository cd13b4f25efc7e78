"""The run record: how a panel's last nightly run ended, readable from the store without Prefect.

Each panel has one object, `status/<panel>.json`, written in one put. A killed run writes no record, so the
record of the run before stays; the missing forecast then shows that something is wrong.
"""

from dataclasses import dataclass
from typing import Literal

from forecasting.errors import StoreError
from forecasting.records import AsOf, Instant, Record
from forecasting.storage import Storage

Outcome = Literal["published", "nothing new", "failed"]


@dataclass(frozen=True)
class RunRecord(Record):
    """How a run ended. Times are ISO 8601 in UTC.

    Attributes:
        panel: the panel's name.
        outcome: `published`, `nothing new` (this forecast was there already), or `failed`.
        due_at: when the run was due.
        ended_at: when the run ended.
        flow_run_id: Prefect's id of the run.
        as_of: the forecast's `as_of`; None if the run failed.
        forecast_id: the forecast's id; None if the run failed.
        error: the class of the error that ended the run; None if it did not fail.
        message: the error's message, one line; None if the run did not fail.
    """

    panel: str
    outcome: Outcome
    due_at: Instant
    ended_at: Instant
    flow_run_id: str
    as_of: AsOf | None = None
    forecast_id: str | None = None
    error: str | None = None
    message: str | None = None


def record_path(panel: str) -> str:
    """Return the path of a panel's record in the store."""
    return f"status/{panel}.json"


def write_run_record(storage: Storage, record: RunRecord) -> None:
    """Replace the record of the previous run."""
    storage.put(record_path(record.panel), record.to_json())


def read_run_record(storage: Storage, panel: str) -> RunRecord | None:
    """Return the record of the last run that ended; None if there is none.

    Raises:
        StoreError: the record is damaged.
    """
    data = storage.find(record_path(panel))
    if data is None:
        return None
    try:
        return RunRecord.from_json(data)
    except ValueError as error:
        raise StoreError(
            f"{record_path(panel)} in {storage.uri} is damaged: it is not a run record; remove it, and the "
            "next run writes a new one"
        ) from error
