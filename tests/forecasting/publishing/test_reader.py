import json
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from forecasting.errors import StoreError
from forecasting.publishing import contract, publish, reader
from forecasting.publishing.contract import SeriesForecast
from forecasting.publishing.publish import FORECAST, ForecastAddress
from forecasting.storage import Storage


def put(
    storage: Storage,
    forecast: SeriesForecast,
    as_of: str,
    forecast_id: str,
    known_at: str = "2026-10-31T06:00:00Z",
) -> None:
    address = ForecastAddress("fx", as_of, forecast_id)
    storage.put(address.path(FORECAST), contract.to_bytes(contract.to_table([forecast], forecast_id), {}))
    publish.point_latest(storage, publish.commit(storage, address, {"known_at": known_at}))


def test_latest_is_the_newest_forecast(storage: Storage, forecast: SeriesForecast) -> None:
    put(storage, forecast, "2026-10-29", "id1")
    put(storage, forecast, "2026-10-30", "id2")
    frame = reader.latest("fx", storage.uri)
    assert set(frame["forecast_id"]) == {"id2"}
    assert list(frame.columns) == contract.SCHEMA.names


def test_as_of_is_the_one_that_knew_most(storage: Storage, forecast: SeriesForecast) -> None:
    put(storage, forecast, "2026-10-29", "id1")
    put(storage, forecast, "2026-10-30", "id3", "2026-10-31T07:00:00Z")
    put(storage, forecast, "2026-10-30", "id2", "2026-10-31T06:00:00Z")
    assert set(reader.as_of("fx", date(2026, 10, 30), storage.uri)["forecast_id"]) == {"id3"}
    assert set(reader.as_of("fx", "2026-10-29", storage.uri)["forecast_id"]) == {"id1"}


def test_history_is_one_series_through_time(storage: Storage, forecast: SeriesForecast) -> None:
    put(storage, forecast, "2026-10-30", "id2")
    put(storage, replace(forecast, cutoff=forecast.cutoff - np.timedelta64(1, "D")), "2026-10-29", "id1")
    frame = reader.history("fx", "BRK/B", storage.uri)
    assert frame["forecast_id"].tolist() == ["id1"] * 3 + ["id2"] * 3
    assert set(frame["unique_id"]) == {"BRK/B"}


def test_bytes_that_were_not_published_are_refused(storage: Storage, forecast: SeriesForecast) -> None:
    put(storage, forecast, "2026-10-30", "id1")
    path = json.loads(storage.get("latest/fx.json"))["path"]
    storage.put(path, storage.get(path)[:-1] + b"?")
    with pytest.raises(StoreError, match="its digest differs; publish it again"):
        reader.latest("fx", storage.uri)


def test_a_panel_without_a_forecast_says_how_to_make_one(storage: Storage) -> None:
    with pytest.raises(StoreError, match=r"no forecast of panel 'fx' in .*; run: nightcast run fx"):
        reader.latest("fx", storage.uri)


def test_a_date_without_a_forecast_says_how_to_make_one(storage: Storage) -> None:
    with pytest.raises(StoreError, match=r"as of 2020-01-01 .* nightcast run fx --as-of 2020-01-01"):
        reader.as_of("fx", date(2020, 1, 1), storage.uri)


def test_an_unknown_series_is_named(storage: Storage, forecast: SeriesForecast) -> None:
    put(storage, forecast, "2026-10-30", "id1")
    with pytest.raises(StoreError, match="no forecast of series 'EURXXX'"):
        reader.history("fx", "EURXXX", storage.uri)
