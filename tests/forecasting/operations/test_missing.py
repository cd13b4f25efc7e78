"""Missing `as_of`s, on calendars and schedules with known dates."""

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from forecasting.errors import NightcastError, StoreError
from forecasting.operations.missing import MissingAsOfs, find_missing, published_as_ofs
from forecasting.panel import Panel
from forecasting.prices.table import PriceTable
from forecasting.publishing import publish
from forecasting.publishing.address import FORECAST, MANIFEST, ForecastAddress
from forecasting.publishing.manifest import Manifest
from forecasting.storage import Storage

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
# The ECB's working days around Christmas 2025: the 25th and 26th and New Year's Day are TARGET holidays.
CHRISTMAS = ["2025-12-23", "2025-12-24", "2025-12-29", "2025-12-30", "2025-12-31", "2026-01-02"]


def make_panel(
    freq: str = "1D", calendar: str = "ECB", cron: str = "30 16 * * 1-5", min_bars: int = 5
) -> Panel:
    return Panel.model_validate(
        {
            "name": "small",
            "source": {"uri": "x"},
            "bars": {"freq": freq, "calendar": calendar},
            "audit": {"min_bars": min_bars},
            "schedule": {"cron": cron, "timezone": "Europe/Berlin"},
        }
    )


def fill(storage: Storage, panel: Panel, series: dict[str, np.ndarray]) -> None:
    """Write the bars of each series to the panel's price table."""
    ds = np.concatenate(list(series.values())).astype("datetime64[us]")
    names = np.repeat(list(series), [len(bars) for bars in series.values()])
    rows = {"unique_id": names, "ds": pa.array(ds).cast(pa.timestamp("us", "UTC")), "close": np.ones(len(ds))}
    empty = {name: pa.nulls(len(ds), pa.float64()) for name in ("open", "high", "low", "volume")}
    PriceTable.create(storage, panel).append(pa.table(rows | empty), np.datetime64("2026-01-15", "us"))


def ecb(first: str, last: str) -> np.ndarray:
    return make_panel().calendar.bars(np.datetime64(first), np.datetime64(last))


@pytest.fixture
def panel(local_storage: Storage) -> Panel:
    """Three series of the ECB's days from 1 December 2025 to 14 January 2026."""
    panel = make_panel()
    fill(local_storage, panel, {name: ecb("2025-12-01", "2026-01-14") for name in "ABC"})
    return panel


def missing(
    panel: Panel, storage: Storage, start: str, end: str, now: datetime = NOW, *, force: bool = False
) -> MissingAsOfs:
    return find_missing(panel, storage, date.fromisoformat(start), date.fromisoformat(end), now, force=force)


def commit(
    storage: Storage, as_of: str, provisional: str | None = None, panel: str = "small"
) -> ForecastAddress:
    address = ForecastAddress(panel, as_of, "0123456789abcdef")
    storage.put(address.path(FORECAST), b"a forecast")
    record = {"known_at": "2026-01-15T00:00:00Z", "origin": "live", "provisional": provisional}
    publish.commit(storage, Manifest.of(address, **record))
    return address


def test_each_night_gives_its_day_and_a_holiday_none(panel: Panel, local_storage: Storage) -> None:
    found = missing(panel, local_storage, "2025-12-23", "2026-01-02")
    assert found == MissingAsOfs(tuple(CHRISTMAS), published=0, too_early=0)


def test_both_ends_are_included(panel: Panel, local_storage: Storage) -> None:
    assert missing(panel, local_storage, "2025-12-24", "2025-12-24").as_ofs == ("2025-12-24",)


def test_what_has_a_final_forecast_is_not_missing_unless_forced(panel: Panel, local_storage: Storage) -> None:
    commit(local_storage, "2025-12-24")
    local_storage.put(ForecastAddress("small", "2025-12-29", "abc").path("forecast.parquet"), b"uncommitted")
    found = missing(panel, local_storage, "2025-12-23", "2026-01-02")
    assert found.as_ofs == tuple(day for day in CHRISTMAS if day != "2025-12-24")
    assert found.published == 1
    assert missing(panel, local_storage, "2025-12-23", "2026-01-02", force=True).as_ofs == tuple(CHRISTMAS)


def test_a_provisional_forecast_or_one_with_a_damaged_manifest_is_none(
    panel: Panel, local_storage: Storage
) -> None:
    commit(local_storage, "2025-12-23")
    commit(local_storage, "2025-12-24", provisional="the source was late")
    local_storage.put(commit(local_storage, "2025-12-29").path(MANIFEST), b'{"as_of": ')
    found = missing(panel, local_storage, "2025-12-23", "2025-12-29")
    assert found == MissingAsOfs(("2025-12-24", "2025-12-29"), published=1, too_early=0)


def test_the_manifests_of_another_panel_do_not_count(local_storage: Storage) -> None:
    commit(local_storage, "2025-12-24", panel="small2")
    assert published_as_ofs(local_storage, "small") == set()
    assert published_as_ofs(local_storage, "small2") == {"2025-12-24"}


def test_days_before_the_audit_has_enough_bars_are_left_out(panel: Panel, local_storage: Storage) -> None:
    found = missing(panel, local_storage, "2025-11-01", "2025-12-08")
    assert found == MissingAsOfs(("2025-12-05", "2025-12-08"), published=0, too_early=4)


def test_a_day_that_most_series_lack_is_none(local_storage: Storage) -> None:
    panel, whole = make_panel(), ecb("2025-12-01", "2026-01-14")
    hole = whole[whole != np.datetime64("2025-12-30")]
    fill(local_storage, panel, {"A": whole, "B": hole, "C": hole})
    found = missing(panel, local_storage, "2025-12-29", "2025-12-31")
    assert found.as_ofs == ("2025-12-29", "2025-12-31")


def test_a_day_whose_night_has_not_come_is_not_due(panel: Panel, local_storage: Storage) -> None:
    morning = datetime(2026, 1, 14, 9, tzinfo=UTC)  # the rates of the 14th come at 16:00 in Berlin
    found = missing(panel, local_storage, "2026-01-12", "2026-01-14", morning)
    assert found.as_ofs == ("2026-01-12", "2026-01-13")


def test_a_weekly_schedule_gives_a_day_a_week(local_storage: Storage) -> None:
    panel = make_panel(cron="0 6 * * 1")  # Monday morning: the newest bar is Friday's
    fill(local_storage, panel, {"A": ecb("2025-12-01", "2026-01-14")})
    found = missing(panel, local_storage, "2025-12-08", "2026-01-14")
    assert found.as_ofs == ("2025-12-12", "2025-12-19", "2025-12-24", "2026-01-02", "2026-01-09")


def test_an_intraday_panel_has_many_a_day(local_storage: Storage) -> None:
    panel = make_panel(freq="1h", calendar="24/7", cron="0 */6 * * *")
    hours = np.arange("2026-01-10", "2026-01-13", dtype="datetime64[h]")
    fill(local_storage, panel, {"A": hours, "B": hours})
    # 00:00, 06:00, 12:00 and 18:00 in Berlin are one hour earlier in UTC, when the bar of the hour before
    # closes. There are no bars on the 13th, so 23:00 is the newest.
    assert missing(panel, local_storage, "2026-01-12", "2026-01-12").as_ofs == (
        *("2026-01-12T0400Z", "2026-01-12T1000Z", "2026-01-12T1600Z", "2026-01-12T2200Z"),
        "2026-01-12T2300Z",
    )


def test_dates_that_cannot_be_are_one_line(panel: Panel, local_storage: Storage) -> None:
    with pytest.raises(NightcastError, match=r"^start 2026-01-02 is after end 2026-01-01; swap them$"):
        missing(panel, local_storage, "2026-01-02", "2026-01-01")
    with pytest.raises(
        NightcastError, match=r"^end 2026-01-16 is in the future; give 2026-01-15 or an earlier"
    ):
        missing(panel, local_storage, "2026-01-02", "2026-01-16")


def test_a_panel_without_prices_says_how_to_get_some(local_storage: Storage) -> None:
    with pytest.raises(StoreError, match=r"no prices of panel small .* run: nightcast ingest small"):
        missing(make_panel(), local_storage, "2025-12-01", "2025-12-31")


def test_prices_that_are_all_later_leave_nothing(panel: Panel, local_storage: Storage) -> None:
    assert missing(panel, local_storage, "2020-01-01", "2020-12-31") == MissingAsOfs((), 0, 0)


def test_a_listing_is_of_the_store_there_is(storage: Storage) -> None:
    assert published_as_ofs(storage, "small") == set()
    commit(storage, "2025-12-24")
    assert published_as_ofs(storage, "small") == {"2025-12-24"}
