from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.prices.sources.cells import absent_as_null, names_zone, read_numbers, read_text, read_times


def column(values: list[object], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


@given(st.lists(st.floats()))
def test_every_float_is_read_as_python_writes_it(values: list[float]) -> None:
    read = read_numbers(column([repr(value) for value in values], pa.string())).to_pylist()
    assert [repr(value) for value in read] == [repr(value) for value in values]


@pytest.mark.parametrize("text", ["1,234.5", "1.234,5", "12 3", "12kg", "--1", "1e", ".", "0x1F", "one"])
def test_what_is_not_a_number_is_null_and_spoils_no_other_cell(text: str) -> None:
    assert read_numbers(column(["1.5", text, "-2"])).to_pylist() == [1.5, None, -2.0]


@pytest.mark.parametrize(
    ("text", "number"), [("5.", 5.0), (".5", 0.5), ("1E3", 1000.0), ("inf", float("inf")), ("-0.25", -0.25)]
)
def test_unusual_numbers_are_read_beside_a_text(text: str, number: float) -> None:
    assert read_numbers(column([text, "x"])).to_pylist() == [number, None]


def test_numbers_of_other_types_are_read() -> None:
    assert read_numbers(column([1, None], pa.int32())).to_pylist() == [1.0, None]


def test_absent_values_are_the_empty_text_and_those_named() -> None:
    assert absent_as_null(column([" N/A", "", "  ", "-", "1"]), ["N/A"]).to_pylist() == [
        None,
        None,
        None,
        "-",
        "1",
    ]


def test_ids_lose_the_spaces_around_them() -> None:
    assert read_text(column([" BRK/B ", "", "N/A"])).to_pylist() == ["BRK/B", None, "N/A"]


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
    assert read_times(column([text]), daily=False).to_pylist() == [utc]


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
    assert read_times(column([text]), daily=True).to_pylist() == [datetime(2020, 1, 2, tzinfo=UTC)]


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
    read = read_times(column([text]), daily=True, form=form)
    assert read.to_pylist() == [datetime(2020, 1, 2, tzinfo=UTC)]


@pytest.mark.parametrize("text", ["2020-01-02x", "2020-01-02T25:00", "yesterday", "1577923200"])
def test_a_daily_stamp_with_anything_wrong_in_it_is_not_read(text: str) -> None:
    assert read_times(column([text]), daily=True).to_pylist() == [None]


def test_a_typed_daily_stamp_is_its_date_where_it_was_taken() -> None:
    midnight_in_tokyo = column([datetime(2020, 1, 1, 15, tzinfo=UTC)], pa.timestamp("ns", "Asia/Tokyo"))
    assert read_times(midnight_in_tokyo, daily=True).to_pylist() == [datetime(2020, 1, 2, tzinfo=UTC)]
    assert read_times(column([date(2020, 1, 2)]), daily=True).to_pylist() == [
        datetime(2020, 1, 2, tzinfo=UTC)
    ]


def test_a_typed_intraday_stamp_without_a_zone_is_utc() -> None:
    naive = column(["2020-01-02T15:00"]).cast(pa.timestamp("ms"))
    assert read_times(naive, daily=False).to_pylist() == [datetime(2020, 1, 2, 15, tzinfo=UTC)]
    assert names_zone(naive).to_pylist() == [False]
    assert names_zone(naive.cast(pa.timestamp("ms", "UTC"))).to_pylist() == [True]


def test_numbers_are_no_times() -> None:
    with pytest.raises(pa.ArrowNotImplementedError, match="int64 is not a date or time"):
        read_times(column([20200102]), daily=True)
