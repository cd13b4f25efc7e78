import pyarrow as pa
import pytest

from forecasting.prices.sources.cells import absent_as_null, read_text


def column(values: list[object]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values)])


def test_absent_values_are_the_empty_text_and_those_named() -> None:
    assert absent_as_null(column([" N/A", "", "  ", "-", "1"]), ["N/A"]).to_pylist() == [
        None,
        None,
        None,
        "-",
        "1",
    ]


@pytest.mark.parametrize("blank", [" ", "\0", "\u00a0", "\0\0 "])
def test_ids_lose_the_blanks_around_them(blank: str) -> None:
    written = [f" BRK/B{blank}", blank, "N/A"]
    assert read_text(column(written)).to_pylist() == ["BRK/B", None, "N/A"]
