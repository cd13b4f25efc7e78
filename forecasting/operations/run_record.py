"""Run record: how a panel's last nightly run ended, kept in the store so that it is known without Prefect.

Each panel has one object, `status/<panel>.json`, written in one put. A killed run writes none, and the record
of the run before it stays: then the missing forecast shows that something is wrong.
"""

import json
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal, get_args

from forecasting.errors import StoreError
from forecasting.storage import Storage

Outcome = Literal["published", "nothing new", "failed"]


@dataclass(frozen=True)
class RunRecord:
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
    due_at: str
    ended_at: str
    flow_run_id: str
    as_of: str | None = None
    forecast_id: str | None = None
    error: str | None = None
    message: str | None = None


def record_path(panel: str) -> str:
    """The path of a panel's record in the store."""
    return f"status/{panel}.json"


def write_run_record(storage: Storage, record: RunRecord) -> None:
    """Replace the record of the previous run."""
    storage.put(record_path(record.panel), json.dumps(asdict(record), indent=1, sort_keys=True).encode())


def read_run_record(storage: Storage, panel: str) -> RunRecord | None:
    """The record of the last run that ended; None if there is none.

    Raises:
        StoreError: the record is damaged.
    """
    data = storage.find(record_path(panel))
    if data is None:
        return None
    try:
        return _from_record(json.loads(data))
    except (ValueError, AttributeError, TypeError) as error:
        raise StoreError(
            f"{record_path(panel)} in {storage.uri} is damaged: it records no run; remove it, the next run "
            "writes it anew"
        ) from error


def parse_time(text: str) -> datetime | None:
    """The instant that an ISO 8601 text names; None if it names none, or has no time zone."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else None


def _from_record(record: dict[str, Any]) -> RunRecord:
    """The run record. Unknown keys are ignored: a newer version may have written them.

    Raises:
        ValueError, AttributeError, TypeError: `record` is no such record.
    """
    known = {field.name for field in fields(RunRecord)}
    found = RunRecord(**{key: value for key, value in record.items() if key in known})
    if found.outcome not in get_args(Outcome):
        raise ValueError(f"unknown outcome {found.outcome!r}")
    if parse_time(found.due_at) is None or parse_time(found.ended_at) is None:
        raise ValueError("a time is not ISO 8601 text with a time zone")
    return found
