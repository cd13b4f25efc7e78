"""How freshness will change, on dates computed by hand. By default a panel has 60 + 30 minutes for a run."""

from datetime import UTC, datetime

import pytest

from forecasting.operations.expected_states import expected_states
from forecasting.operations.freshness import Evidence
from forecasting.operations.run_record import RunRecord, write_run_record
from forecasting.panel import Panel
from forecasting.publishing.address import FORECAST, MANIFEST, ForecastAddress, latest_pointer
from forecasting.publishing.manifest import Manifest, Pointer
from forecasting.storage import Storage

PANEL = Panel.model_validate(
    {
        "name": "p",
        "source": {"uri": "prices.csv"},
        "bars": {"freq": "1D", "calendar": "ECB"},
        "schedule": {"cron": "30 16 * * 1-5", "timezone": "Europe/Berlin"},
    }
)


def publish(storage: Storage, as_of: str) -> None:
    address, at = ForecastAddress("p", as_of, "x"), f"{as_of}T16:00:00+00:00"
    manifest = Manifest.of(
        address, known_at=at, published_at=at, objects={FORECAST: "0"}, model="stacked_lstm"
    )
    storage.put(address.path(MANIFEST), manifest.to_json())
    storage.put(latest_pointer("p"), Pointer.to(manifest).to_json())


def states(storage: Storage, now: str) -> list[tuple[str, str]]:
    """The states from `now` on, each with its beginning."""
    evidence = Evidence.read(PANEL, storage)
    found = expected_states(evidence, datetime.fromisoformat(now).replace(tzinfo=UTC))
    return [(f"{at:%Y-%m-%dT%H:%M}", one.state) for at, one in found]


@pytest.mark.parametrize(
    ("as_of", "now", "stale_at"),
    [
        # Friday's rate is the newest one all weekend, until 90 minutes after Monday's run at 15:30 UTC.
        ("2026-11-20", "2026-11-21T09:00", "2026-11-23T17:00"),
        # Good Friday and Easter Monday are closed: Thursday's rate until Tuesday's run, at 14:30 UTC.
        ("2026-04-02", "2026-04-02T16:00", "2026-04-07T16:00"),
        # A run that was due half an hour ago has its time yet.
        ("2026-11-18", "2026-11-19T16:00", "2026-11-19T17:00"),
    ],
)
def test_a_fresh_forecast_becomes_stale_when_the_next_bar_should_be_in_one(
    local_storage: Storage, as_of: str, now: str, stale_at: str
) -> None:
    publish(local_storage, as_of)
    assert states(local_storage, now) == [(now, "fresh"), (stale_at, "stale")]


def test_a_failed_run_becomes_stale_once_a_later_run_leaves_no_record(local_storage: Storage) -> None:
    publish(local_storage, "2026-11-18")
    record = RunRecord(
        panel="p",
        outcome="failed",
        due_at="2026-11-19T15:30:00+00:00",
        ended_at="2026-11-19T15:31:00+00:00",
        flow_run_id="run",
        error="SourceError",
        message="no file at prices.csv",
    )
    write_run_record(local_storage, record)
    assert states(local_storage, "2026-11-19T17:30") == [
        ("2026-11-19T17:30", "failed"),
        ("2026-11-20T17:00", "stale"),
    ]


def test_a_stale_forecast_stays_so(local_storage: Storage) -> None:
    publish(local_storage, "2026-11-17")
    assert states(local_storage, "2026-11-19T12:00") == [("2026-11-19T12:00", "stale")]


def test_without_a_forecast_there_is_nothing_to_become_stale(local_storage: Storage) -> None:
    assert states(local_storage, "2026-11-19T12:00") == [("2026-11-19T12:00", "never")]
