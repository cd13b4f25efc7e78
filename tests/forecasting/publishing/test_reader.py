import doctest
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from forecasting import contract
from forecasting.contract import SeriesForecast
from forecasting.errors import ContractError, NightcastError, StoreError
from forecasting.publishing import publish, reader
from forecasting.publishing.address import FORECAST, MANIFEST, ForecastAddress, as_of_folder
from forecasting.publishing.manifest import Manifest
from forecasting.storage import Storage


def put(
    storage: Storage,
    forecast: SeriesForecast,
    as_of: str,
    forecast_id: str,
    known_at: str = "2026-10-31T06:00:00Z",
    **facts: Any,
) -> None:
    address = ForecastAddress("fx", as_of, forecast_id)
    storage.put(address.path(FORECAST), contract.to_bytes(contract.to_table([forecast], forecast_id), {}))
    record = {"known_at": known_at, "origin": "live", **facts}
    publish.point_latest(storage, publish.commit(storage, Manifest.of(address, **record)))


def test_examples(tmp_path: Path, forecast: SeriesForecast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NIGHTCAST_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    for day in (29, 30):
        put(Storage("./store"), forecast, f"2026-10-{day}", f"id{day}", model=forecast.model)
    found = doctest.testmod(reader)
    assert found.attempted > 0
    assert found.failed == 0


def test_latest_is_the_newest_forecast(storage: Storage, forecast: SeriesForecast) -> None:
    put(storage, forecast, "2026-10-29", "id1")
    put(storage, forecast, "2026-10-30", "id2")
    frame = reader.latest("fx", storage.uri)
    assert set(frame["forecast_id"]) == {"id2"}
    assert list(frame.columns) == contract.SCHEMA.names


def test_as_of_reads_the_forecast_with_the_newest_known_at(
    storage: Storage, forecast: SeriesForecast
) -> None:
    put(storage, forecast, "2026-10-29", "id1")
    put(storage, forecast, "2026-10-30", "id3", "2026-10-31T07:00:00Z")
    put(storage, forecast, "2026-10-30", "id2", "2026-10-31T06:00:00Z")
    assert set(reader.as_of("fx", date(2026, 10, 30), storage.uri)["forecast_id"]) == {"id3"}
    assert set(reader.as_of("fx", "2026-10-29", storage.uri)["forecast_id"]) == {"id1"}


def test_a_backfill_does_not_replace_a_live_forecast(storage: Storage, forecast: SeriesForecast) -> None:
    put(storage, forecast, "2026-10-30", "live")
    put(storage, forecast, "2026-10-30", "backfilled", "2026-11-05T06:00:00Z", origin="backfill")
    frame = reader.history("fx", "EURUSD", storage.uri)
    assert set(frame["forecast_id"]) == {"live"}
    assert set(frame["origin"]) == {"live"}
    for found in (reader.as_of("fx", "2026-10-30", storage.uri), reader.latest("fx", storage.uri)):
        assert set(found.forecast_id) == {"live"}


def test_history_has_one_series_of_all_forecasts(storage: Storage, forecast: SeriesForecast) -> None:
    put(storage, forecast, "2026-10-30", "id2")
    put(storage, replace(forecast, cutoff=forecast.cutoff - np.timedelta64(1, "D")), "2026-10-29", "id1")
    frame = reader.history("fx", "BRK/B", storage.uri)
    assert frame["forecast_id"].tolist() == ["id1"] * 3 + ["id2"] * 3
    assert set(frame["unique_id"]) == {"BRK/B"}


def test_bytes_that_were_not_published_are_refused(storage: Storage, forecast: SeriesForecast) -> None:
    put(storage, forecast, "2026-10-30", "id1")
    path = json.loads(storage.get("latest/fx.json"))["path"]
    storage.put(path, storage.get(path)[:-1] + b"?")
    with pytest.raises(
        StoreError,
        match=r"its digest differs from the one in its manifest; "
        r"run: nightcast run fx --as-of 2026-10-30 --store .*; if .* remove the forecast's folder",
    ):
        reader.latest("fx", storage.uri)


def test_a_panel_without_a_forecast_says_how_to_make_one(storage: Storage) -> None:
    with pytest.raises(StoreError, match=r"no forecast of panel 'fx' in .*; run: nightcast run fx"):
        reader.latest("fx", storage.uri)


def test_a_date_without_a_forecast_names_the_nearest(storage: Storage, forecast: SeriesForecast) -> None:
    for day in ("28", "30"):
        put(storage, forecast, f"2026-10-{day}", f"id{day}")
    half = ForecastAddress("fx", "2020-01-02", "killed")
    storage.put(half.path(FORECAST), b"half a night's work")
    with pytest.raises(
        StoreError,
        match=r"as of 2020-01-01 in .*; the nearest forecast is as of 2026-10-28; "
        "run: nightcast run fx --as-of 2020-01-01",
    ):
        reader.as_of("fx", date(2020, 1, 1), storage.uri)


READS = (reader.latest, partial(reader.as_of, when="2026-10-30"), partial(reader.history, unique_id="EURUSD"))


@pytest.mark.parametrize("read", READS)
def test_an_unknown_panel_names_those_there_are(
    storage: Storage, forecast: SeriesForecast, read: Callable[..., pd.DataFrame]
) -> None:
    put(storage, forecast, "2026-10-30", "id1")
    with pytest.raises(
        StoreError,
        match=r"no forecast of panel 'xf' in .*; the store has forecasts of: fx; run: nightcast run xf",
    ):
        read("xf", store=storage.uri)


@pytest.mark.parametrize("read", READS)
def test_a_missing_store_is_named_and_not_created(tmp_path: Path, read: Callable[..., pd.DataFrame]) -> None:
    with pytest.raises(StoreError, match=r"there is no store at .*/typo; check store="):
        read("fx", store=str(tmp_path / "typo"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("junk", [b"", b"{}", b"null"])
def test_a_damaged_pointer_names_the_command_that_replaces_it(
    storage: Storage, forecast: SeriesForecast, junk: bytes
) -> None:
    put(storage, forecast, "2026-10-30", "id1")
    storage.put("latest/fx.json", junk)
    with pytest.raises(StoreError, match=r"latest/fx.json is damaged: .* nightcast run fx"):
        reader.latest("fx", storage.uri)


@pytest.mark.parametrize("read", READS)
def test_a_forecast_that_is_missing_is_named(
    storage: Storage, forecast: SeriesForecast, read: Callable[..., pd.DataFrame]
) -> None:
    put(storage, forecast, "2026-10-30", "id1")
    storage.delete([ForecastAddress("fx", "2026-10-30", "id1").path(FORECAST)])
    with pytest.raises(
        StoreError,
        match=r"id=id1/forecast.parquet is missing, but its manifest is there; .* --as-of 2026-10-30",
    ):
        read("fx", store=storage.uri)


def test_a_forecast_without_its_manifest_is_not_shown(storage: Storage, forecast: SeriesForecast) -> None:
    put(storage, forecast, "2026-10-30", "id1")
    storage.put(ForecastAddress("fx", "2026-10-30", "id1").path(MANIFEST), b"?")
    with pytest.raises(
        StoreError, match=r"latest/fx.json names .*id=id1/?, whose manifest is missing or damaged"
    ):
        reader.latest("fx", storage.uri)


@pytest.mark.parametrize("read", READS)
def test_a_table_that_breaks_the_contract_is_refused(
    storage: Storage, forecast: SeriesForecast, read: Callable[..., pd.DataFrame]
) -> None:
    address = ForecastAddress("fx", "2026-10-30", "id1")
    table = contract.to_table([forecast], "id1").drop_columns(["y_hat"])
    storage.put(address.path(FORECAST), contract.to_bytes(table, {}))
    publish.point_latest(
        storage, publish.commit(storage, Manifest.of(address, known_at="2026-10-31T06:00:00Z"))
    )
    with pytest.raises(ContractError, match="the column 'y_hat' is missing"):
        read("fx", store=storage.uri)


def test_attrs_tell_which_forecast_it_is(storage: Storage, forecast: SeriesForecast) -> None:
    put(storage, forecast, "2026-10-30", "id1", provisional="the source was late")
    for frame in (reader.latest("fx", storage.uri), reader.as_of("fx", "2026-10-30", storage.uri)):
        assert set(frame.attrs) == set(reader.ATTRIBUTES)
        assert frame.attrs["forecast_id"] == "id1"
        assert (frame.attrs["as_of"], frame.attrs["origin"]) == ("2026-10-30", "live")
        assert frame.attrs["provisional"] == "the source was late"


@pytest.mark.parametrize(
    "when",
    [
        date(2026, 10, 30),  # the last of that date
        "2026-10-30",
        "2026-10-30T2000Z",
        "2026-10-30T20:00",
        datetime(2026, 10, 30, 20, tzinfo=UTC),
        datetime(2026, 10, 30, 16, tzinfo=ZoneInfo("America/New_York")),
        pd.Timestamp("2026-10-30 20:00"),
    ],
)
def test_an_intraday_panel_is_asked_for_a_time(
    storage: Storage, forecast: SeriesForecast, when: date | str
) -> None:
    for label in ("2026-10-30T1900Z", "2026-10-30T2000Z", "2026-10-31T1900Z"):
        put(storage, forecast, label, label)
    assert set(reader.as_of("fx", when, storage.uri)["forecast_id"]) == {"2026-10-30T2000Z"}


def test_a_daily_panel_takes_the_date_of_a_time(storage: Storage, forecast: SeriesForecast) -> None:
    put(storage, forecast, "2026-10-30", "id1")
    when = datetime(2026, 10, 30, 20, tzinfo=UTC)
    assert set(reader.as_of("fx", when, storage.uri)["forecast_id"]) == {"id1"}


def test_text_that_is_no_date_is_an_error(storage: Storage, forecast: SeriesForecast) -> None:
    put(storage, forecast, "2026-10-30", "id1")
    with pytest.raises(NightcastError, match=r"'30.10.2026' is not a date, YYYY-MM-DD"):
        reader.as_of("fx", "30.10.2026", storage.uri)


def test_history_tells_live_from_backfilled(storage: Storage, forecast: SeriesForecast) -> None:
    put(storage, forecast, "2026-10-30", "id2")
    put(storage, forecast, "2026-10-29", "id1", origin="backfill")
    frame = reader.history("fx", "EURUSD", storage.uri)
    assert list(frame.columns) == [*contract.SCHEMA.names, "as_of", "origin"]
    assert frame.query("origin == 'live'")["as_of"].unique().tolist() == [
        pd.Timestamp("2026-10-30", tz="UTC")
    ]
    assert set(frame.query("origin == 'backfill'")["forecast_id"]) == {"id1"}


def test_history_skips_a_forecast_that_is_removed_meanwhile(
    storage: Storage, forecast: SeriesForecast, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(storage, forecast, "2026-10-29", "id1")
    put(storage, forecast, "2026-10-30", "id2")
    found = publish.find_published

    def overtaken(*given: Any) -> Any:
        listed = found(*given)
        storage.delete(storage.list(as_of_folder("fx", "2026-10-29")))
        return listed

    monkeypatch.setattr(reader, "find_published", overtaken)
    assert set(reader.history("fx", "EURUSD", storage.uri)["forecast_id"]) == {"id2"}


def test_the_error_for_a_left_out_series_says_why(storage: Storage, forecast: SeriesForecast) -> None:
    put(storage, forecast, "2026-10-30", "id1", left_out={"DEAD": "stale since 2020"})
    with pytest.raises(
        StoreError, match=r"'DEAD' .*; the forecast as of 2026-10-30 left the series out: stale since 2020"
    ):
        reader.history("fx", "DEAD", storage.uri)


def test_an_unknown_series_is_named(storage: Storage, forecast: SeriesForecast) -> None:
    put(storage, forecast, "2026-10-30", "id1")
    with pytest.raises(StoreError, match=r"no forecast of series 'EURXXX' .* has 2 series, such as EURUSD$"):
        reader.history("fx", "EURXXX", storage.uri)
