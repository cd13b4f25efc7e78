"""Run record: how a panel's last nightly run ended, in the store, so that it can be told without Prefect.

One object a panel, `status/<panel>.json`, written in one put. A run that is killed leaves the record of the
one before: then it is the missing forecast that tells.
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
        panel: its panel's name.
        outcome: `published`, `nothing new` (this forecast was there already), or `failed`.
        due_at: when it was due; ended_at: when it ended.
        flow_run_id: Prefect's id of it.
        as_of: of the forecast; None where the run failed.
        forecast_id: as above.
        error: the class of the error that it failed with, else None; message: what that says, in one line.
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
    """Where a panel's record lies in the store."""
    return f"status/{panel}.json"


def write_run_record(storage: Storage, record: RunRecord) -> None:
    """Put it in place of the record of the run before."""
    storage.put(record_path(record.panel), record.to_json())


def read_run_record(storage: Storage, panel: str) -> RunRecord | None:
    """The record of the last run that ended; None where there is none.

    Raises:
        StoreError: it is damaged.
    """
    data = storage.find(record_path(panel))
    if data is None:
        return None
    try:
        return RunRecord.from_json(data)
    except ValueError as error:
        raise StoreError(
            f"{record_path(panel)} in {storage.uri} is damaged: it records no run; remove it, the next run "
            "writes it anew"
        ) from error
