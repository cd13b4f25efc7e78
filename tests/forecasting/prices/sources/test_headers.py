import pytest

from forecasting.errors import SourceError
from forecasting.panel import Source
from forecasting.prices.sources.headers import GRID_MARK, find_header, looks_like_data


def source(**settings: object) -> Source:
    return Source.model_validate({"uri": "x.csv", **settings})


@pytest.mark.parametrize("above", [[], ["https://example.test"], ["Report", "", "from,to,2020"]])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_is_the_line_with_the_time_column(above: list[str], delimiter: str) -> None:
    lines = [*above, delimiter.join(["ds", "close"]), delimiter.join(["2020-01-02", "1"])]
    header = find_header([f"{line}\n" for line in lines], source(), "x.csv")
    assert (header.names, header.above, header.delimiter) == (["ds", "close"], len(above) + 1, delimiter)


@pytest.mark.parametrize("first", ["20200102 000000;1.1;1.2;0", "1735084800000,95304.41,1", "2020-01-02,1.5"])
def test_a_file_without_a_header_is_said(first: str) -> None:
    with pytest.raises(SourceError, match=r"no header line: its first line, .*\[source\].column_names"):
        find_header([f"{first}\n", f"{first}\n"], source(), "x.csv")


def test_named_columns_begin_with_the_first_line() -> None:
    header = find_header(["2020-01-02;1\n"], source(column_names=["ds", "close"]), "x.csv")
    assert (header.names, header.above, header.delimiter) == (["ds", "close"], 0, ";")


def test_each_column_is_named() -> None:
    with pytest.raises(SourceError, match="column_names has 2 names, and the first line has 3 values"):
        find_header(["2020-01-02,1,2\n"], source(column_names=["ds", "close"]), "x.csv")


@pytest.mark.parametrize(
    "lines",
    [
        ["Price,Close,Close,Open,Open", "Ticker,A,B,A,B", "Date,,,,"],
        [",A,B,A,B", "Date,Close,Close,Open,Open"],
        ["x,y", ",A,B,,", "Date,Close,Close,,"],
    ],
)
def test_a_grid_has_ids_and_values(lines: list[str]) -> None:
    settings = source(layout="grid", time_column="Date", columns={"close": "Close"})
    header = find_header([f"{line}\n" for line in [*lines, "2020-01-02,1,2,3,4"]], settings, "x.csv")
    assert header.names[:3] == ["Date", f"A{GRID_MARK}Close", f"B{GRID_MARK}Close"]
    assert header.above == len(lines)


@pytest.mark.parametrize(
    ("cells", "data"),
    [(["1", "2.5"], True), (["2020-01-02", "$1"], True), (["ds", "1"], False), (["Date", "2020"], False)],
)
def test_a_line_of_numbers_and_times_is_data(cells: list[str], data: bool) -> None:
    assert looks_like_data(cells) is data
