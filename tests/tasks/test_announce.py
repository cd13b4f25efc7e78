"""Which forecasts are announced: those that `latest/` comes to show."""

from typing import Any

import pytest

from forecasting.publishing.address import FORECAST, ForecastAddress
from forecasting.publishing.decisions import Decision
from forecasting.publishing.manifest import Manifest
from forecasting.publishing.publish import commit
from forecasting.storage import Storage
from tasks.announce import show_latest

DECISION = Decision(
    *("2026-10-30", "2026-10-30T20:00:00+00:00", "abc", "ewma_walk", "1", "s", "It was better."), verdict=None
)
Events = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def manifests(local_storage: Storage) -> dict[str, Manifest]:
    """Four forecasts of the panel fx, by their ids; `base` and `walk` are a baseline's."""
    made = {}
    for forecast_id, day, model in (
        *(("first", 28, "stacked_lstm"), ("second", 29, "stacked_lstm")),
        *(("base", 30, "ewma_walk"), ("walk", 31, "random_walk")),
    ):
        address = ForecastAddress("fx", f"2026-10-{day}", forecast_id)
        local_storage.put(address.path(FORECAST), forecast_id.encode())
        record = {
            "known_at": f"2026-10-{day}T20:00:00Z",
            "origin": "live",
            "provisional": "the source was late" if forecast_id == "second" else None,
            "model": model,
            "model_version": "abc",
            "decision": DECISION,
        }
        made[forecast_id] = commit(local_storage, Manifest.of(address, **record))
    return made


def test_a_published_forecast_is_announced_once(
    local_storage: Storage, manifests: dict[str, Manifest], events: Events
) -> None:
    for forecast_id in ("first", "first", "second", "second"):
        assert show_latest(local_storage, manifests[forecast_id])
    assert [event for event, _ in events] == 2 * ["nightcast.forecast.published"]
    assert events[1][1] == {
        "panel": "fx",
        "as_of": "2026-10-29",
        "forecast_id": "second",
        "model": "stacked_lstm",
        "model_version": "abc",
        "origin": "live",
        "provisional": "the source was late",
        "published_at": manifests["second"].published_at,
        "store": local_storage.uri,
        "uri": f"{local_storage.uri}/forecasts/fx/as_of=2026-10-29/id=second/forecast.parquet",
        # printf second | sha256sum
        "sha256": "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4",
        "report_url": None,
        "landing_url": None,
        "warnings": [
            "Provisional: the source was late. The final forecast for this as_of will replace it.",
            "A baseline publishes instead of a model: It was better.",
        ],
    }


def test_where_the_store_is_served_events_have_the_pages_addresses(
    local_storage: Storage,
    manifests: dict[str, Manifest],
    events: Events,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NIGHTCAST_PUBLIC_URL", "https://forecasts.example.com/store/")
    show_latest(local_storage, manifests["base"])
    (_, published), (_, stands_in) = events
    report = "https://forecasts.example.com/store/forecasts/fx/as_of=2026-10-30/id=base/_report.html"
    assert published["report_url"] == stands_in["report_url"] == report
    assert published["landing_url"] == "https://forecasts.example.com/store/index.html"
    assert stands_in["text"].endswith(f"publishes for fx: It was better. See {report}")


def test_an_earlier_date_is_not_announced(
    local_storage: Storage, manifests: dict[str, Manifest], events: Events
) -> None:
    assert show_latest(local_storage, manifests["second"])
    assert not show_latest(local_storage, manifests["first"])
    assert [payload["forecast_id"] for _, payload in events] == ["second"]


def test_a_baseline_is_told_of_when_it_begins_to_stand_in(
    local_storage: Storage, manifests: dict[str, Manifest], events: Events
) -> None:
    for forecast_id in ("first", "base", "walk"):
        show_latest(local_storage, manifests[forecast_id])
    told = [payload for event, payload in events if event == "nightcast.baseline.stands-in"]
    assert [one["text"] for one in told] == [
        "Nightcast: from 2026-10-30 on, the baseline ewma_walk publishes for fx: It was better."
    ]


def test_a_baseline_that_is_the_first_to_publish_is_told_of(
    local_storage: Storage, manifests: dict[str, Manifest], events: Events
) -> None:
    show_latest(local_storage, manifests["base"])
    assert [event for event, _ in events] == ["nightcast.forecast.published", "nightcast.baseline.stands-in"]


def test_a_backfilled_forecast_is_not_announced_and_hides_no_baseline(
    local_storage: Storage, manifests: dict[str, Manifest], events: Events
) -> None:
    address = ForecastAddress("fx", "2026-10-30", "past")
    local_storage.put(address.path(FORECAST), b"past")
    past = commit(
        local_storage,
        Manifest.of(
            address, known_at="2026-11-01T20:00:00Z", origin="backfill", model="ewma_walk", model_version="1"
        ),
    )
    assert show_latest(local_storage, past)
    assert events == []
    show_latest(local_storage, manifests["walk"])
    assert [event for event, _ in events] == ["nightcast.forecast.published", "nightcast.baseline.stands-in"]
