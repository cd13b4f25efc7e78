"""The landing page and its data in the store."""

import json
import logging
import multiprocessing
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np
import pytest

from forecasting.operations import landing_page
from forecasting.operations.landing_page import (
    find_reports,
    make_card,
    try_update_landing_page,
    update_landing_page,
    write_index,
)
from forecasting.operations.run_record import RunRecord, write_run_record
from forecasting.panel import Panel
from forecasting.parquet import table_to_bytes
from forecasting.publishing.address import (
    INDEX,
    MANIFEST,
    REPORT,
    ForecastAddress,
    forecasts_folder,
    latest_pointer,
)
from forecasting.publishing.publish import find_manifest, point_latest
from forecasting.reports.landing import DATA, StateChange, card_path, dates_path
from forecasting.reports.outlook import OUTLOOK, outlook_table
from forecasting.scoring.scorer import score_forecasts
from forecasting.storage import Storage
from tests.published import DAY, FIRST_DAY, NOW, add_prices, publish_walk, small_panel, walks

# A walk of 100 days ends on 2026-04-10.
AS_OF = "2026-04-10"
VIEWED = datetime(2026, 4, 11, 7, tzinfo=UTC)
WRITERS = 4


def publish(panel: Panel, storage: Storage, as_of: str = AS_OF, provisional: str = "") -> ForecastAddress:
    """Publish a forecast with a report, and let `latest/` show it."""
    address = publish_walk(panel, storage, as_of, provisional)
    storage.put(address.path(REPORT), b"<html>")
    manifest = find_manifest(storage, address)
    assert manifest is not None
    point_latest(storage, manifest)
    return address


def record_failure(storage: Storage, panel: str) -> None:
    due = "2026-04-11T06:00:00+00:00"
    record = RunRecord(panel, "failed", due, due, "run", error="SourceError", message="no file at prices.csv")
    write_run_record(storage, record)


def values(storage: Storage, path: str) -> list[Any]:
    """The arguments of the call in a data script."""
    text = storage.get(path).decode()
    found: list[Any] = json.loads(f"[{text[text.index('(') + 1 : text.rindex(')')]}]")
    return found


def panels_of(storage: Storage) -> list[str]:
    """The panels whose data the page names."""
    page = storage.get(INDEX).decode()
    return [part.partition('"')[0] for part in page.split('data-panel="')[1:]]


@pytest.fixture
def panel(local_storage: Storage) -> Panel:
    """A panel with prices up to 2026-04-10, and a forecast for that day."""
    panel = small_panel()
    add_prices(panel, local_storage, walks(100))
    publish(panel, local_storage)
    return panel


def test_a_card_has_the_newest_forecast_and_when_it_becomes_stale(
    panel: Panel, local_storage: Storage
) -> None:
    card = make_card(panel, local_storage, VIEWED)
    assert card.forecast is not None
    assert (card.forecast.as_of, card.forecast.model, card.forecast.series) == (AS_OF, "ewma_walk", 3)
    assert local_storage.get(card.forecast.report) == b"<html>"
    assert local_storage.get(card.forecast.table)
    assert [one.state for one in card.states] == ["fresh", "stale"]
    assert card.due[0] > VIEWED.isoformat()
    assert list(card.due) == sorted(card.due)


def test_warnings_say_who_stands_in_and_why_a_forecast_is_provisional(
    panel: Panel, local_storage: Storage
) -> None:
    local_storage.delete([latest_pointer(panel.name)])
    publish(panel, local_storage, "2026-04-09", provisional="the source is late")
    card = make_card(panel, local_storage, VIEWED)
    assert card.warnings == (
        "Provisional: the source is late. The final forecast for this as_of will replace it.",
        "A baseline publishes instead of a model: because",
    )


def test_a_failed_run_is_the_state_with_its_error(panel: Panel, local_storage: Storage) -> None:
    late = datetime.now(UTC) + timedelta(hours=1)
    due = late.isoformat()
    failed = RunRecord(panel.name, "failed", due, due, "run", message="no file at prices.csv")
    write_run_record(local_storage, failed)
    card = make_card(panel, local_storage, late)
    assert card.states[0].state == "failed"
    assert card.states[0].reason.endswith("UTC ended with: no file at prices.csv")


def test_moods_name_the_most_extreme_series(panel: Panel, local_storage: Storage) -> None:
    address = publish(panel, local_storage)
    table = outlook_table(["AAA", "B/B", "CCC"], np.ones(3), np.array([97.0, 3.0, 88.0]), {})
    local_storage.put(address.path(OUTLOOK), table_to_bytes(table))
    moods = make_card(panel, local_storage, VIEWED).moods
    assert moods is not None
    assert (moods.compared, moods.nervous, moods.calm) == (3, 2, 1)
    assert (moods.most_nervous, moods.calmest) == ((("AAA", 97.0), ("CCC", 88.0)), (("B/B", 3.0),))


def test_scores_are_those_of_the_last_year(panel: Panel, local_storage: Storage) -> None:
    assert make_card(panel, local_storage, VIEWED).scores == ()
    add_prices(panel, local_storage, {name: y[-2:] for name, y in walks(102).items()}, FIRST_DAY + 100 * DAY)
    score_forecasts(panel, local_storage, NOW)
    scores = make_card(panel, local_storage, VIEWED).scores
    assert [(one.origin, one.days, one.forecasts, one.independent) for one in scores] == [
        ("live", 90, 1, 1),
        ("live", 365, 1, 1),
    ]
    assert scores[0].coverage is not None
    assert 0 <= scores[0].coverage <= 1


@pytest.mark.parametrize("path", [latest_pointer("small"), "status/small.json"])
def test_what_cannot_be_read_is_on_the_page_and_does_not_look_fresh(
    panel: Panel, local_storage: Storage, path: str
) -> None:
    local_storage.put(path, b"{}")
    update_landing_page(panel, local_storage, VIEWED)
    (card,) = values(local_storage, card_path("small"))
    assert [one["state"] for one in card["states"]] == ["unreadable"]
    assert "is damaged" in card["states"][0]["reason"]
    assert panels_of(local_storage) == ["small"]


def test_the_reports_are_one_for_each_date_the_one_that_counts(panel: Panel, local_storage: Storage) -> None:
    publish(panel, local_storage, "2026-04-08")
    early = publish(panel, local_storage, "2026-04-09", provisional="the source is late")
    final = publish(panel, local_storage, "2026-04-09")
    unfinished = ForecastAddress("small", "2026-04-07", "x")
    local_storage.put(unfinished.path(REPORT), b"<html>")
    found = dict(find_reports(local_storage, "small"))
    assert list(found) == ["2026-04-08", "2026-04-09", AS_OF]
    assert early.forecast_id != final.forecast_id == found["2026-04-09"]


def test_the_reports_are_found_without_reading_their_manifests(
    panel: Panel, local_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(panel, local_storage, "2026-04-08")
    read: list[str] = []
    monkeypatch.setattr(Storage, "find_tagged", lambda _, path: read.append(path))
    assert len(find_reports(local_storage, "small")) == 2
    assert read == []


def test_the_page_names_the_data_of_each_panel_and_the_data_are_there(storage: Storage) -> None:
    for name in ("small", "other"):
        panel = small_panel(name=name)
        add_prices(panel, storage, walks(100))
        publish(panel, storage)
        update_landing_page(panel, storage, VIEWED)
    assert panels_of(storage) == ["other", "small"]
    (card,) = values(storage, card_path("small"))
    assert (card["panel"], card["reports"]) == ("small", 1)
    panel_name, reports = values(storage, dates_path("small"))
    assert (panel_name, [as_of for as_of, _ in reports]) == ("small", [AS_OF])
    page = storage.get(INDEX).decode()
    linked = [part.partition('"')[0] for part in page.split('src="')[1:] + page.split('href="')[1:]]
    assert len(linked) > 4
    assert [path for path in linked if not path.startswith("latest/") and storage.find(path) is None] == []


def test_a_panel_whose_forecasts_all_went_away_leaves_the_page(panel: Panel, local_storage: Storage) -> None:
    update_landing_page(panel, local_storage, VIEWED)
    local_storage.delete(local_storage.list(forecasts_folder("small")))
    other = small_panel(name="other")
    add_prices(other, local_storage, walks(100))
    publish(other, local_storage)
    update_landing_page(other, local_storage, VIEWED)
    assert panels_of(local_storage) == ["other"]
    assert local_storage.list(DATA) == [dates_path("other"), card_path("other")]


def test_a_panel_whose_first_run_failed_is_on_the_page(local_storage: Storage) -> None:
    record_failure(local_storage, "small")
    update_landing_page(small_panel(), local_storage, VIEWED)
    assert panels_of(local_storage) == ["small"]
    (card,) = values(local_storage, card_path("small"))
    (state,) = card["states"]
    assert StateChange(**state).state == "never"
    assert "ended with: no file at prices.csv" in state["reason"]


def test_a_panel_that_ends_while_the_page_is_written_stands_on_it(
    panel: Panel, local_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run of `other` ends between the listing of `small`'s run and its put of the page."""
    other = small_panel(name="other")
    add_prices(other, local_storage, walks(100))
    publish(other, local_storage)
    put, waiting = Storage.put, [other]

    def put_late(self: Storage, path: str, data: bytes) -> None:
        if path == INDEX and waiting:
            update_landing_page(waiting.pop(), self, VIEWED)
        put(self, path, data)

    monkeypatch.setattr(Storage, "put", put_late)
    update_landing_page(panel, local_storage, VIEWED)
    assert waiting == []
    assert panels_of(local_storage) == ["other", "small"]


def _update_at_once(uri: str, name: str, start: Barrier) -> None:
    storage, panel = Storage(uri), small_panel(name=name)
    start.wait(timeout=120)
    update_landing_page(panel, storage, VIEWED)


def test_panels_that_end_at_once_in_processes_of_their_own_all_stand_on_the_page(
    panel: Panel, local_storage: Storage
) -> None:
    names = [f"panel{number}" for number in range(WRITERS)]
    for name in names:
        local_storage.put(f"{forecasts_folder(name)}/as_of={AS_OF}/id=x/{MANIFEST}", b"{}")
        local_storage.put(f"{forecasts_folder(name)}/as_of={AS_OF}/id=x/{REPORT}", b"<html>")
    update_landing_page(panel, local_storage, VIEWED)
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(WRITERS)
    writers = [spawn.Process(target=_update_at_once, args=(local_storage.uri, name, start)) for name in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    assert panels_of(local_storage) == [*names, "small"]


def test_an_unchanged_page_is_not_written_again(
    panel: Panel, local_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    update_landing_page(panel, local_storage, VIEWED)
    written: list[str] = []
    monkeypatch.setattr(Storage, "put", lambda _, path, __: written.append(path))
    write_index(local_storage)
    assert written == []


def test_a_failure_is_a_warning_and_nothing_else(
    panel: Panel,
    local_storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise PermissionError("no right to write")

    monkeypatch.setattr(landing_page, "write_index", fail)
    with caplog.at_level(logging.WARNING):
        try_update_landing_page(panel, local_storage, VIEWED)
    (record,) = [one for one in caplog.records if one.name == landing_page.__name__]
    assert record.levelno == logging.WARNING
    assert "not updated for small, the next run tries again: PermissionError: no right" in record.message
