import os
from datetime import timedelta

import pytest

from forecasting.errors import StoreError
from forecasting.operations import forecast_retention
from forecasting.publishing import publish
from forecasting.publishing.address import CHARTS, FORECAST, MANIFEST, ForecastAddress, latest_pointer
from forecasting.storage import Storage
from tests.shelf import NOW, Shelf, instant, panel_of


@pytest.fixture
def shelf(local_storage: Storage) -> Shelf:
    return Shelf(panel_of(forecast_days=100, superseded_days=30), local_storage)


def clear(shelf: Shelf) -> list[tuple[str, str]]:
    """Remove the removable forecasts; return the kind and the id of each."""
    found = forecast_retention.removable_forecasts(shelf.panel, shelf.storage, NOW)
    removed = [one for one in found if forecast_retention.remove_forecast(shelf.storage, "tiny", one, NOW)]
    return [(one.what, one.folder.rsplit("id=", 1)[1]) for one in removed]


def test_forecasts_of_long_ago_go_with_all_their_objects(storage: Storage) -> None:
    shelf = Shelf(panel_of(forecast_days=100), storage)
    old = shelf.forecast(200, "old")
    shelf.forecast(100, "on the last day")
    shelf.forecast(0, "new")
    assert clear(shelf) == [("old forecast", "old")]
    assert storage.list(old.folder) == []
    assert shelf.forecasts() == ["on the last day", "new"]


def test_age_is_counted_back_from_the_newest_forecast_and_not_from_today(shelf: Shelf) -> None:
    for days in (900, 950):
        shelf.forecast(days, f"{days}")
    assert clear(shelf) == []


def test_of_several_for_one_date_the_one_that_counts_stays(shelf: Shelf) -> None:
    for name, published in (("first", 60), ("second", 50), ("third", 40)):
        shelf.forecast(70, name, published)
    shelf.forecast(0, "new")
    assert clear(shelf) == [("superseded forecast", "first"), ("superseded forecast", "second")]


def test_live_and_backfilled_forecasts_do_not_supersede_each_other(shelf: Shelf) -> None:
    for name, published, origin in (
        *(("live", 60, "live"), ("early", 65, "live")),
        *(("backfilled", 50, "backfill"), ("again", 40, "backfill")),
    ):
        provisional = "the source was late" if name == "early" else None
        shelf.forecast(70, name, published, origin=origin, provisional=provisional)
    shelf.forecast(0, "new")
    assert clear(shelf) == [("superseded forecast", "backfilled"), ("superseded forecast", "early")]


def test_one_superseded_lately_stays(shelf: Shelf) -> None:
    shelf.forecast(70, "first", 29)
    shelf.forecast(70, "second", 20)
    shelf.forecast(0, "new")
    assert clear(shelf) == []


def test_what_was_published_just_now_stays_however_old_its_date(shelf: Shelf) -> None:
    shelf.forecast(200, "backfilled", published=1)
    shelf.forecast(0, "new")
    assert clear(shelf) == []


def test_a_forecast_whose_bars_may_still_come_stays(shelf: Shelf) -> None:
    # Its last bar is three days later; bars may be two weeks late.
    shelf.panel = panel_of(forecast_days=1)
    for days in (16, 18):
        shelf.forecast(days, f"{days} ago")
    shelf.forecast(0, "new")
    assert clear(shelf) == [("old forecast", "18 ago")]


def test_nothing_for_the_date_that_latest_shows_is_touched(shelf: Shelf) -> None:
    shelf.forecast(200, "first", 190)
    shelf.forecast(200, "second", 180)
    assert clear(shelf) == []


def test_the_folder_of_a_killed_run_is_removed_after_two_days(shelf: Shelf) -> None:
    shelf.forecast(0, "new")
    address = shelf.unfinished(1, "killed")
    assert clear(shelf) == [("unfinished forecast", "killed")]
    assert shelf.storage.list(address.folder) == []


def touch(shelf: Shelf, path: str, hours: int) -> None:
    assert shelf.storage.local_root is not None
    at = (NOW - timedelta(hours=hours)).timestamp()
    os.utime(shelf.storage.local_root / path, (at, at))


def test_a_folder_that_a_run_may_be_writing_stays(shelf: Shelf) -> None:
    shelf.forecast(0, "new")
    touch(shelf, shelf.unfinished(1, "on its way").path(FORECAST), hours=47)
    assert clear(shelf) == []


def test_the_forecast_that_latest_shows_stays_though_its_manifest_is_damaged(shelf: Shelf) -> None:
    address = shelf.forecast(0, "new")
    shelf.storage.put(address.path(MANIFEST), b"")
    assert clear(shelf) == []


def test_without_a_pointer_no_forecast_goes(shelf: Shelf) -> None:
    shelf.forecast(200, "old")
    shelf.forecast(0, "new")
    shelf.storage.delete([latest_pointer("tiny")])
    assert clear(shelf) == []


def test_a_damaged_pointer_stops_it(shelf: Shelf) -> None:
    shelf.forecast(200, "old")
    shelf.storage.put(latest_pointer("tiny"), b"?")
    with pytest.raises(
        StoreError, match=r"latest/tiny.json is damaged: .* the next run replaces it: nightcast run tiny"
    ):
        clear(shelf)


def test_a_folder_that_is_no_forecast_is_left_alone(shelf: Shelf) -> None:
    shelf.forecast(0, "new")
    shelf.storage.put("forecasts/tiny/notes/readme.txt", b"mine")
    shelf.storage.put("forecasts/tiny2/as_of=2000-01-01/id=x/forecast.parquet", b"")
    assert clear(shelf) == []


def test_a_run_that_resumes_in_the_middle_keeps_its_folder(shelf: Shelf) -> None:
    shelf.forecast(0, "new")
    address = shelf.unfinished(1, "resumed")
    (removal,) = forecast_retention.removable_forecasts(shelf.panel, shelf.storage, NOW)
    touch(shelf, address.path(FORECAST), hours=0)
    assert not forecast_retention.remove_forecast(shelf.storage, "tiny", removal, NOW)
    assert shelf.storage.find(address.path(FORECAST)) is not None


def test_a_forecast_published_in_the_middle_survives(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.forecast(200, "old")
    shelf.forecast(60, "superseded")
    shelf.forecast(60, "counts", 59)
    shelf.forecast(1, "yesterday")
    delete = shelf.storage.delete

    def overtaken(paths: list[str]) -> None:
        monkeypatch.setattr(shelf.storage, "delete", delete)
        shelf.forecast(0, "tonight")
        shelf.forecast(60, "late data", 0)
        delete(paths)

    monkeypatch.setattr(shelf.storage, "delete", overtaken)
    assert [name for _, name in clear(shelf)] == ["old", "superseded"]
    assert sorted(shelf.forecasts()) == ["counts", "late data", "tonight", "yesterday"]
    pointer = publish.find_pointer(shelf.storage, "tiny")
    assert pointer is not None
    assert (pointer.forecast_id, shelf.storage.get("latest/tiny.parquet")) == (
        "tonight",
        shelf.storage.get(pointer.path),
    )


def test_a_removal_killed_after_any_delete_leaves_no_half_forecast(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = shelf.forecast(200, "old")
    shelf.storage.put(old.chart("AAA"), b"png")
    shelf.forecast(0, "new")
    delete, states = shelf.storage.delete, []

    def watched(paths: list[str]) -> None:
        delete(paths)
        names = {path.removeprefix(f"{old.folder}/") for path in shelf.storage.list(old.folder)}
        states.append((publish.find_manifest(shelf.storage, old), MANIFEST in names, names))
        forecast_retention.removable_forecasts(shelf.panel, shelf.storage, NOW)

    monkeypatch.setattr(shelf.storage, "delete", watched)
    clear(shelf)
    assert [(manifest, named) for manifest, named, _ in states] == [(None, False)] * 3
    assert FORECAST in states[0][2]
    assert any(name.startswith(CHARTS) for name in states[1][2])
    assert states[2][2] == set()


def test_a_removal_that_was_killed_is_finished_by_the_next(shelf: Shelf) -> None:
    old = shelf.forecast(200, "old")
    shelf.forecast(0, "new")
    shelf.storage.delete([old.path(MANIFEST)])
    assert clear(shelf) == [("unfinished forecast", "old")]


def test_an_unreadable_forecast_is_not_kept_for_scoring(shelf: Shelf) -> None:
    shelf.panel = panel_of(forecast_days=1)
    for days in (5, 6, 7):
        shelf.forecast(days, f"{days} ago")
    shelf.forecast(0, "new")
    shelf.storage.put(ForecastAddress("tiny", instant(5)[:10], "5 ago").path(FORECAST), b"junk")
    shelf.storage.delete([ForecastAddress("tiny", instant(6)[:10], "6 ago").path(FORECAST)])
    assert {name for _, name in clear(shelf)} == {"5 ago", "6 ago"}


def test_a_forecast_with_a_damaged_manifest_was_finished_so_it_stays(shelf: Shelf) -> None:
    address = shelf.forecast(70, "damaged")
    shelf.forecast(0, "new")
    shelf.storage.put(address.path(MANIFEST), b"junk")
    assert clear(shelf) == []
