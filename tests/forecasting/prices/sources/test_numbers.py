import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.prices.sources.numbers import decimal_mark, read_numbers, why_no_number


def column(values: list[object], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


@given(st.lists(st.floats()))
def test_every_float_is_read_as_python_writes_it(values: list[float]) -> None:
    read = read_numbers(column([repr(value) for value in values], pa.string())).to_pylist()
    assert [repr(value) for value in read] == [repr(value) for value in values]


@given(st.lists(st.floats(min_value=-1e12, max_value=1e12), min_size=1), st.sampled_from([",", " ", "'"]))
def test_thousands_are_read_whatever_separates_them(values: list[float], mark: str) -> None:
    written = [f"{value:,.2f}".replace(",", mark) for value in values]
    assert read_numbers(column(written)).to_pylist() == [float(f"{value:.2f}") for value in values]


@given(st.lists(st.floats(min_value=-1e12, max_value=1e12), min_size=1))
def test_points_separate_thousands_where_the_decimal_mark_is_a_comma(values: list[float]) -> None:
    swap = str.maketrans(",.", ".,")
    written = [f"{value:,.2f}".translate(swap) for value in values]
    assert read_numbers(column(written), ",").to_pylist() == [float(f"{value:.2f}") for value in values]


@pytest.mark.parametrize(
    "text", ["1.234,5", "12 3", "12kg", "--1", "1e", ".", "0x1F", "one", "0.24%", "1,23"]
)
def test_what_is_not_a_number_is_null_and_spoils_no_other_cell(text: str) -> None:
    assert read_numbers(column(["1.5", text, "-2"])).to_pylist() == [1.5, None, -2.0]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5.", 5.0),
        (".5", 0.5),
        ("1E3", 1000.0),
        ("inf", float("inf")),
        ("-0.25", -0.25),
        ("1,234.5", 1234.5),
        ("$224.93", 224.93),
        ("-$1.50", -1.5),
        ("1 234.50 EUR", 1234.5),
        ("1'234.50", 1234.5),
        ("5,443,000", 5_443_000.0),
        ("3160.14K", 3_160_140.0),
        ("5.4M", 5_400_000.0),
        ("1.2bn", 1_200_000_000.0),
        ("(12.5)", -12.5),
        ("12,34,567.89", 1_234_567.89),
    ],
)
def test_unusual_numbers_are_read_beside_a_text(text: str, number: float) -> None:
    assert read_numbers(column([text, "x"])).to_pylist() == [pytest.approx(number), None]


def test_one_comma_before_three_digits_is_read_only_where_the_mark_is_known() -> None:
    assert read_numbers(column(["1,234", "x"])).to_pylist() == [None, None]
    assert read_numbers(column(["1,234", "x"]), ".").to_pylist() == [1234.0, None]
    assert read_numbers(column(["1,234", "x"]), ",").to_pylist() == [1.234, None]
    assert read_numbers(column(["1,234", "5.5"])).to_pylist() == [1234.0, 5.5]


def test_a_point_is_never_a_decimal_mark_beside_a_decimal_comma() -> None:
    assert read_numbers(column(["38.000", "1.000.000", "1.5", "0,3"]), ",").to_pylist() == [
        38_000.0,
        1_000_000.0,
        None,
        0.3,
    ]


def test_numbers_of_other_types_are_read() -> None:
    assert read_numbers(column([1, None], pa.int32())).to_pylist() == [1.0, None]


@pytest.mark.parametrize(
    ("texts", "mark"),
    [
        (["1.25"], "."),
        (["1,25"], ","),
        (["1,250", "1.250"], ""),
        (["1,250,000"], "."),
        (["1.250.000"], ","),
        (["38.000", "-0,3"], ","),
        (["1,250.5"], "."),
        (["1.25", "1,25"], "?"),
        (["2026-01-02", "12.05.2026", "name"], ""),
    ],
)
def test_the_decimal_mark_that_numbers_prove(texts: list[str], mark: str) -> None:
    assert decimal_mark(texts) == mark


@pytest.mark.parametrize(
    ("text", "decimal", "why"),
    [
        ("0.24%", "", "is a percentage"),
        ("1,25", "", '[source].decimal = ","'),
        ("1,234", "", "may have a decimal comma or a thousands separator"),
        ("1.25", ",", '[source].decimal = "."'),
        ("n.a.", "", "[source].na_values"),
    ],
)
def test_why_a_text_is_no_number(text: str, decimal: str, why: str) -> None:
    assert why in why_no_number(text, decimal)
