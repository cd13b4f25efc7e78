from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.sources.times import EPOCH, MAYBE_MIDNIGHT, MIDNIGHT, Times, read_times


def daily(calendar: str = "24/7", freq: str = "1D", **source: Any) -> Panel:
    bars = {"calendar": calendar, "freq": freq}
    return Panel.model_validate({"name": "tiny", "source": {"uri": "x.csv", **source}, "bars": bars})


DAILY = daily()
HOURLY = daily(freq="1h")


def column(values: list[object], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


def times(values: pa.ChunkedArray, panel: Panel) -> Times:
    return read_times([values], panel, "x.csv")


def read(values: pa.ChunkedArray, panel: Panel) -> pa.ChunkedArray:
    return times(values, panel).ds


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2020-01-02", datetime(2020, 1, 2, tzinfo=UTC)),
        ("2020-01-02 15:30", datetime(2020, 1, 2, 15, 30, tzinfo=UTC)),
        ("2020-01-02T15:30:00.25Z", datetime(2020, 1, 2, 15, 30, 0, 250_000, tzinfo=UTC)),
        ("2020-01-02T15:30:00-05:00", datetime(2020, 1, 2, 20, 30, tzinfo=UTC)),
        ("02/01/2020", None),
        ("2020-02-30", None),
        ("", None),
    ],
)
def test_an_intraday_stamp_is_an_instant(text: str, utc: datetime | None) -> None:
    assert read(column([text]), HOURLY).to_pylist() == [utc]


@pytest.mark.parametrize(
    "text",
    [
        "2020-01-02",
        "20200102",
        "2020-01-02 16:00",
        "2020-01-02T23:30:00-05:00",
        "2020-01-02T00:00:00+09:00",
        "20200102T093000Z",
        "20200102 233000-0500",
    ],
)
def test_a_daily_stamp_is_its_date_as_written(text: str) -> None:
    assert read(column([text]), DAILY).to_pylist() == [datetime(2020, 1, 2, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2020-01-02", "%Y-%m-%d"),
        ("02-01-2020", "%d-%m-%Y"),
        ("02-01-2020 23:30-0500", "%d-%m-%Y %H:%M%z"),
        ("2020-01-02 +09:00", "%Y-%m-%d %z"),
    ],
)
def test_a_date_with_dashes_loses_no_part_of_it_as_an_offset(text: str, form: str) -> None:
    found = read(column([text]), daily(time_format=form))
    assert found.to_pylist() == [datetime(2020, 1, 2, tzinfo=UTC)]


@pytest.mark.parametrize("text", ["2020-01-02x", "2020-01-02T25:00", "yesterday", "12345", "0001-01-01"])
def test_a_daily_stamp_with_anything_wrong_in_it_is_not_read(text: str) -> None:
    assert read(column([text]), DAILY).to_pylist() == [None]


def test_a_typed_daily_stamp_is_its_date_where_it_was_taken() -> None:
    midnight_in_tokyo = column([datetime(2020, 1, 1, 15, tzinfo=UTC)], pa.timestamp("ns", "Asia/Tokyo"))
    assert read(midnight_in_tokyo, DAILY).to_pylist() == [datetime(2020, 1, 2, tzinfo=UTC)]
    assert read(column([date(2020, 1, 2)]), DAILY).to_pylist() == [datetime(2020, 1, 2, tzinfo=UTC)]


def test_a_typed_intraday_stamp_without_a_zone_is_utc() -> None:
    naive = column(["2020-01-02T15:00"]).cast(pa.timestamp("ms"))
    assert read(naive, HOURLY).to_pylist() == [datetime(2020, 1, 2, 15, tzinfo=UTC)]
    assert times(naive, HOURLY).zoned.to_pylist() == [False]
    assert times(naive.cast(pa.timestamp("ms", "UTC")), HOURLY).zoned.to_pylist() == [True]


@pytest.mark.parametrize("per_second", [1, 10**3, 10**6, 10**9], ids=["s", "ms", "us", "ns"])
@pytest.mark.parametrize("as_text", [True, False], ids=["text", "number"])
def test_unix_numbers_are_instants_whatever_their_unit(per_second: int, as_text: bool) -> None:
    number = 1_577_977_200 * per_second
    found = times(column([str(number) if as_text else number]), HOURLY)
    assert found.ds.to_pylist() == [datetime(2020, 1, 2, 15, tzinfo=UTC)]
    assert (found.zoned.to_pylist(), found.note) == ([True], EPOCH)


def test_a_column_may_change_its_unit_on_the_way() -> None:
    found = read(column([1_577_977_200_000, 1_577_980_800_000_000]), HOURLY)
    assert found.to_pylist() == [datetime(2020, 1, 2, hour, tzinfo=UTC) for hour in (15, 16)]


@pytest.mark.parametrize("value", [20_200_102, "20200102"])
def test_eight_digits_are_a_date(value: object) -> None:
    assert read(column([value]), DAILY).to_pylist() == [datetime(2020, 1, 2, tzinfo=UTC)]


@pytest.mark.parametrize("suffix", [" UTC", "UTC", " GMT", " utc", "Z"])
def test_a_time_may_name_utc(suffix: str) -> None:
    found = times(column([f"2020-01-02 15:00:00{suffix}"]), HOURLY)
    assert found.ds.to_pylist() == [datetime(2020, 1, 2, 15, tzinfo=UTC)]
    assert found.zoned.to_pylist() == [True]


@pytest.mark.parametrize("zone", ["", "UTC", "Asia/Tokyo"])
def test_a_format_may_name_utc(zone: str) -> None:
    panel = daily(freq="1h", time_format="%d.%m.%Y %H:%M %Z", time_zone=zone)
    assert read(column(["02.01.2020 15:00 UTC", "02.01.2020 16:00 EST"]), panel).to_pylist() == [
        datetime(2020, 1, 2, 15, tzinfo=UTC),
        None,
    ]


def test_date_and_time_may_be_in_two_columns() -> None:
    panel = daily(freq="1h", time_column=["D", "T"], time_format="%Y.%m.%d %H:%M:%S")
    found = read_times([column(["2020.01.02"]), column(["15:00:00"])], panel, "x.csv").ds
    assert found.to_pylist() == [datetime(2020, 1, 2, 15, tzinfo=UTC)]


TOKYO_DAYS = ["2020-03-02", "2020-03-03", "2020-03-04", "2020-03-05", "2020-03-06", "2020-03-09"]


def local_midnights(days: list[str], zone: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(days).tz_localize(zone).tz_convert("UTC")


def dates(found: pa.ChunkedArray) -> list[str]:
    return [f"{time:%Y-%m-%d}" for time in found.to_pylist()]


@pytest.mark.parametrize(
    ("calendar", "zone"),
    [("XTKS", "Asia/Tokyo"), ("XETR", "Europe/Berlin"), ("XSHG", "Asia/Shanghai"), ("ECB", "Europe/Berlin")],
)
@pytest.mark.parametrize("form", ["typed", "naive", "text"])
def test_local_midnights_saved_as_utc_are_days_of_the_calendars_zone(
    calendar: str, zone: str, form: str
) -> None:
    stamps = local_midnights(TOKYO_DAYS, zone)
    written: list[object] = [f"{stamp:%Y-%m-%d %H:%M:%S}+00:00" for stamp in stamps]
    values = column(written) if form == "text" else column([*stamps], pa.timestamp("us", "UTC"))
    if form == "naive":
        values = values.cast(pa.timestamp("us"))
    found = times(values, daily(calendar))
    assert (dates(found.ds), found.note) == (TOKYO_DAYS, MIDNIGHT + zone)


def test_local_midnights_keep_their_days_across_a_clock_change() -> None:
    days = ["2020-03-26", "2020-03-27", "2020-03-30", "2020-03-31"]
    found = times(column([*local_midnights(days, "Europe/Berlin")], pa.timestamp("us", "UTC")), daily("XETR"))
    assert dates(found.ds) == days


def test_the_fx_day_begins_in_the_evening_before() -> None:
    opens = [*(pd.DatetimeIndex(TOKYO_DAYS).tz_localize("America/New_York") - pd.Timedelta(hours=7))]
    found = times(column(opens, pa.timestamp("us", "UTC")), daily("FX"))
    assert dates(found.ds) == TOKYO_DAYS


def test_the_closing_time_of_an_exchange_is_no_midnight() -> None:
    written = [f"{day} 16:00:00" for day in TOKYO_DAYS]  # 16:00 in Hong Kong; midnight there if it were UTC
    found = times(column(written), daily("XHKG"))
    assert (dates(found.ds), found.note) == (TOKYO_DAYS, "")


def test_where_the_calendar_has_no_zone_a_local_midnight_is_only_said() -> None:
    found = times(column([*local_midnights(TOKYO_DAYS, "Asia/Tokyo")], pa.timestamp("us", "UTC")), DAILY)
    assert dates(found.ds)[0] == "2020-03-01"
    assert found.note == MAYBE_MIDNIGHT + "Asia/Tokyo"


@pytest.mark.parametrize("kind", ["typed", "naive", "text"])
def test_a_stated_zone_decides_over_daily_instants(kind: str) -> None:
    stamps = [*local_midnights(TOKYO_DAYS, "Asia/Tokyo")]
    values = {
        "typed": column(stamps, pa.timestamp("us", "UTC")),
        "naive": column(stamps, pa.timestamp("us", "UTC")).cast(pa.timestamp("us")),
        "text": column([f"{stamp:%Y-%m-%dT%H:%M:%SZ}" for stamp in stamps]),
    }
    found = times(values[kind], daily(time_zone="Asia/Tokyo"))
    assert (dates(found.ds), found.note) == (TOKYO_DAYS, "")


def test_a_stated_zone_leaves_dates_as_they_are() -> None:
    assert dates(read(column(TOKYO_DAYS), daily(time_zone="America/New_York"))) == TOKYO_DAYS


@pytest.mark.parametrize(
    "kind", [pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us"), pa.date32(), pa.date64()], ids=str
)
@pytest.mark.parametrize("panel", [DAILY, HOURLY], ids=["daily", "hourly"])
def test_a_year_out_of_range_is_not_read_and_stops_nothing(kind: pa.DataType, panel: Panel) -> None:
    integer = pa.int32() if kind == pa.date32() else pa.int64()
    far = np.iinfo("i4" if kind == pa.date32() else "i8").max
    values = pa.chunked_array([pa.array([0, far, -far], integer).cast(kind)])
    # Several dates are no times of bars within a day.
    known = None if pa.types.is_date(kind) and panel is HOURLY else datetime(1970, 1, 1, tzinfo=UTC)
    assert read(values, panel).to_pylist() == [known, None, None]


def test_nanoseconds_are_cut_and_stop_nothing() -> None:
    stamp = pd.Timestamp("2020-01-02 15:59:59.999999999")
    found = read(column([stamp.value], pa.int64()).cast(pa.timestamp("ns")), HOURLY)
    assert found.to_pylist() == [datetime(2020, 1, 2, 16, tzinfo=UTC) - timedelta(microseconds=1)]


def test_an_unknown_zone_of_a_type_is_named() -> None:
    values = column([0], pa.int64()).cast(pa.timestamp("us", "Mars/Olympus"))
    with pytest.raises(SourceError, match=r"x.csv: .*'Mars/Olympus'; set \[source\].time_zone"):
        read(values, DAILY)
    assert read(values, HOURLY).to_pylist() == [datetime(1970, 1, 1, tzinfo=UTC)]


def test_what_is_no_time_is_refused_by_its_type() -> None:
    with pytest.raises(pa.ArrowNotImplementedError, match="bool is not a date or time"):
        read(column([True]), DAILY)
