import gzip
import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.schema import OFFERED
from forecasting.prices.sources import read_source

LONG = b"unique_id,ds,close\nA,2020-01-02,1.5\nB,2020-01-02,2.5\n"
ONE = b"ds,close\n2020-01-02,1.5\n"
WIDE = {"layout": "wide", "time_column": "Date", "na_values": ["N/A"]}

Read = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def read(tmp_path: Path, make_panel: Callable[..., Panel]) -> Read:
    """Write `files`, then read the rows that `uri` offers, without nulls."""

    def rows(uri: str, files: dict[str, bytes], **source: Any) -> list[dict[str, Any]]:
        for name, data in files.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        batches = list(read_source(make_panel({"uri": str(tmp_path / uri), **source})))
        assert all(batch.schema == OFFERED for batch in batches)
        offered = pa.concat_tables(batches).to_pylist()
        return [{name: value for name, value in row.items() if value is not None} for row in offered]

    return rows


def row(unique_id: str, close: float, day: int = 2) -> dict[str, Any]:
    return {"unique_id": unique_id, "ds": datetime(2020, 1, day, tzinfo=UTC), "close": close}


def zipped(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return packed.getvalue()


def parquet(columns: dict[str, Any]) -> bytes:
    packed = io.BytesIO()
    pd.DataFrame(columns).to_parquet(packed)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("uri", "data"),
    [
        ("prices.csv", LONG),
        ("PRICES.CSV", LONG),
        ("prices.csv.gz", gzip.compress(LONG, mtime=0)),
        (
            "prices.zip",
            zipped({"folder/prices.csv": LONG, "__MACOSX/._prices.csv": b"\0", "readme.txt": b"?"}),
        ),
        ("prices.zip", zipped({"prices.csv.gz": gzip.compress(LONG, mtime=0)})),
        ("prices.parquet", parquet({"unique_id": ["A", "B"], "ds": ["2020-01-02"] * 2, "close": [1.5, 2.5]})),
    ],
)
def test_one_file_of_any_kind(read: Read, uri: str, data: bytes) -> None:
    assert read(uri, {uri: data}) == [row("A", 1.5), row("B", 2.5)]


@pytest.mark.parametrize("uri", ["prices", "prices/*.csv", "prices/[AB].csv"])
def test_many_files_one_series_each(read: Read, uri: str) -> None:
    files = {"prices/B.csv": ONE, "prices/A.csv": ONE, "prices/notes.txt": b"", "prices/.hidden.csv": b""}
    assert read(uri, files, id_column="") == [row("A", 1.5), row("B", 1.5)]


def test_a_uri_with_the_scheme_of_a_file(tmp_path: Path, make_panel: Callable[..., Panel]) -> None:
    path = tmp_path / "A & B 100%.csv"
    path.write_bytes(LONG)
    offered = pa.concat_tables(read_source(make_panel({"uri": path.as_uri()})))
    assert offered["unique_id"].to_pylist() == ["A", "B"]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + LONG,
        LONG.replace(b"\n", b"\r\n"),
        LONG.replace(b",", b", "),
        LONG.removesuffix(b"\n"),
        LONG.decode().encode("utf-16"),
        LONG.decode().encode("utf-16-le"),
        LONG.decode().encode("utf-16-be"),
        b"unique_id,ds,close,\nA,2020-01-02,1.5,\nB,2020-01-02,2.5,\n",
        b"\n\r\n,,\n" + LONG,
        b"\xef\xbb\xbfsep=;\r\n" + LONG.replace(b",", b";"),
        b"sep=\t\n" + LONG.replace(b",", b"\t"),
        b'\xef\xbb\xbf"unique_id","ds","close"\n' + LONG.partition(b"\n")[2],
        b'unique_id,ds,close,"a\nnote"\nA,2020-01-02,1.5,\nB,2020-01-02,2.5,\n',
        LONG.replace(b"unique_id", b"<TICKER>"),
    ],
    ids=[
        "byte order mark",
        "Windows lines",
        "spaces",
        "no last newline",
        "UTF-16",
        "UTF-16 without a mark",
        "UTF-16, big end first",
        "trailing comma",
        "blank lines first",
        "Excel's delimiter",
        "Excel's tab",
        "quoted after a byte order mark",
        "header of two lines",
        "angle brackets",
    ],
)
def test_what_spreadsheets_do_to_a_csv(read: Read, data: bytes) -> None:
    source = {"id_column": "<TICKER>"} if b"<" in data else {}
    assert read("prices.csv", {"prices.csv": data}, **source) == [row("A", 1.5), row("B", 2.5)]


def test_an_encoding_that_is_not_utf_8(read: Read) -> None:
    text = "unique_id,ds,close\nMünchener Rück,2020-01-02,1.5\nSociété Générale,2020-01-02,2.5\n"
    offered = read("prices.csv", {"prices.csv": text.encode("latin-1")})
    assert offered == [row("Münchener Rück", 1.5), row("Société Générale", 2.5)]


def test_wide_columns_are_series_and_absent_cells_are_no_rows(read: Read) -> None:
    data = b"Date,USD,JPY,BGN,\n2020-01-03,1.2,N/A,N/A,\n2020-01-02,1.1,120,N/A,\n"
    offered = read("wide.csv", {"wide.csv": data}, **WIDE, prefix="EUR")
    assert offered == [row("EURUSD", 1.2, 3), row("EURUSD", 1.1), row("EURJPY", 120.0)]


def test_wide_parquet_of_several_types(read: Read) -> None:
    columns = {
        "Date": pd.to_datetime(["2020-01-02", "2020-01-03"]),
        "A": [1, 2],
        "B": [None, 2.5],
        "C": ["N/A", "x"],
    }
    spoiled = {"unique_id": "C", "ds": datetime(2020, 1, 3, tzinfo=UTC), "raw": 'close="x"'}
    offered = read("wide.parquet", {"wide.parquet": parquet(columns)}, **WIDE)
    assert str(offered[-1].pop("remark")).endswith("wide.parquet, row 2")
    assert offered == [row("A", 1.0), row("A", 2.0, 3), row("B", 2.5, 3), spoiled]


def test_long_columns_by_other_names(read: Read) -> None:
    data = b"Symbol,Day,Close,Vol,open\nA,2020-01-02,1.5,900,1.4\n"
    source = {"time_column": "Day", "id_column": "Symbol", "columns": {"close": "Close", "volume": "Vol"}}
    offered = read("prices.csv", {"prices.csv": data}, **source, prefix="X:")
    assert offered == [row("X:A", 1.5) | {"open": 1.4, "volume": 900.0}]


@pytest.mark.parametrize(
    ("header", "columns", "found"),
    [
        (b"Open,High,LOW,Close,Volume", {}, {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}),
        (b"open,High,Low,close,Adj Close", {}, {"open": 1, "high": 2, "low": 3, "close": 4}),
        (b"Open,o,l,Close,v", {"close": "Close"}, {"open": 1, "close": 4}),
        (b"Open,High,Low,Close,Adj Close", {"close": "Adj Close"}, {"close": 5}),
        (b"open,Open,High,HIGH,close", {}, {"open": 1, "close": 5}),
    ],
)
def test_values_whose_columns_are_capitalised(
    read: Read, header: bytes, columns: dict[str, str], found: dict[str, float]
) -> None:
    data = b"unique_id,ds," + header + b"\nA,2020-01-02,1,2,3,4,5\n"
    (only,) = read("prices.csv", {"prices.csv": data}, columns=columns)
    assert {name: only[name] for name in only.keys() - {"unique_id", "ds"}} == found


def test_a_long_row_without_any_value_is_no_offer_and_one_without_the_target_is(read: Read) -> None:
    data = b"unique_id,ds,close,volume\nA,2020-01-02,,\nB,2020-01-02,,7\n"
    offered = read("prices.csv", {"prices.csv": data})
    assert offered == [{"unique_id": "B", "ds": datetime(2020, 1, 2, tzinfo=UTC), "volume": 7.0}]


@pytest.mark.parametrize(
    ("line", "raw"),
    [
        (b'A,2020-01-02,"1,234,5",7', 'close="1,234,5"'),
        (b"A,02.01.2020,1.5,7", 'ds="02.01.2020"'),
        (b"A,,1.5,7", 'ds=""'),
        (b" ,2020-01-02,1.5,7", 'unique_id=""'),
        (b"A,soon,n.a.,7", 'ds="soon", close="n.a."'),
        (b"A,2020-01-02,1.5,7,8,9", "prices.csv: A,2020-01-02,1.5,7,8,9"),
        (b"A,2020-0", "prices.csv: A,2020-0"),
    ],
)
def test_what_cannot_be_read_is_offered_as_it_was_written(
    read: Read, tmp_path: Path, line: bytes, raw: str
) -> None:
    data = b"unique_id,ds,close,volume\nB,2020-01-02,1.5,7\n" + line + b"\n"
    offered = read("prices.csv", {"prices.csv": data})
    assert [row.get("raw", "").removeprefix(f"{tmp_path}/") for row in offered] == ["", raw]


def test_a_spoiled_line_says_in_which_file_it_is(read: Read, tmp_path: Path) -> None:
    files = dict.fromkeys(["prices/A.csv", "prices/B.csv"], ONE + b"2020-01-03,2,3\n")
    texts = [row["raw"] for row in read("prices", files, id_column="") if "raw" in row]
    assert texts == [f"{tmp_path}/{name}: 2020-01-03,2,3" for name in files]


def test_one_damaged_file_of_many_becomes_an_unreadable_row(read: Read) -> None:
    files = {"prices/A.csv": ONE, "prices/B.csv": b"", "prices/C.csv.gz": gzip.compress(ONE, mtime=0)[:20]}
    good, empty, cut = read("prices", files, id_column="")
    assert good == row("A", 1.5)
    assert "B.csv is empty" in empty["raw"]
    assert "C.csv.gz is damaged or cut short" in cut["raw"]


def damaged_zip() -> bytes:
    data = zipped({"prices.csv": LONG})
    start = data.index(b"prices.csv") + len(b"prices.csv")
    return data[:start] + b"\xff" * 8 + data[start + 8 :]


@pytest.mark.parametrize(
    ("files", "source", "message"),
    [
        ({}, {}, "no file at .*prices.csv; check .source..uri in the panel"),
        ({"prices.csv": b""}, {}, "prices.csv is empty"),
        ({"prices.csv": b"\n\n"}, {}, "prices.csv is empty"),
        ({"prices.csv": b"unique_id,ds,close\n"}, {}, "has no rows, only the line 'unique_id,ds,close'"),
        ({"prices.csv": b"Try later"}, {}, "has no rows, only the line 'Try later'"),
        ({"prices.csv": b"# from x\nunique_id,day,close\n"}, {}, "no column 'ds' in"),
        (
            {"prices.csv": b"unique_id,ds,close,\nA,2020-01-02,1\n"},
            {},
            "no line has as many values as the header",
        ),
        ({"prices.csv": bytes(range(256)) * 9}, {}, "prices.csv is not text"),
        (
            {"prices.csv": LONG},
            {"time_column": "Day"},
            r"no column 'Day' .*it has: unique_id, ds, close.*time_column",
        ),
        ({"prices.csv": LONG}, {"id_column": "Symbol"}, r"no column 'Symbol' in .*id_column, or to \"\""),
        (
            {"prices.csv": LONG},
            {"columns": {"close": "Close"}},
            r"no column 'Close' .*map close in \[source.columns\]",
        ),
        ({"prices.csv": LONG}, {"columns": {"open": "Open"}}, "no column 'Open'"),
        ({"prices.csv": b"Date,\n2020-01-02,\n"}, WIDE, "no column but 'Date'"),
        ({"prices.zip": b"PK"}, {}, "not a zip, or is cut short"),
        ({"prices.zip": zipped({"prices.csv": LONG})[:-30]}, {}, "not a zip, or is cut short"),
        ({"prices.zip": damaged_zip()}, {}, "prices.zip/prices.csv is damaged or cut short"),
        ({"prices.zip": zipped({"prices.txt": LONG})}, {}, "no .csv or .parquet file in .*prices.zip"),
        ({"prices.csv.gz": gzip.compress(LONG, mtime=0)[:30]}, {}, "prices.csv.gz is damaged or cut short"),
        ({"prices.csv.gz": LONG}, {}, "prices.csv.gz is damaged or cut short"),
        ({"prices.parquet": b"PAR1"}, {}, "prices.parquet is not Parquet"),
        (
            {"prices.parquet": parquet({"unique_id": ["A"], "ds": [True], "close": [1]})},
            {},
            "bool is not a date",
        ),
        ({"prices.xls": b"?"}, {}, "prices.xls is not a .csv, .parquet, .gz or .zip file"),
    ],
)
def test_one_line_says_what_is_wrong_with_a_source(
    read: Read, files: dict[str, bytes], source: dict[str, Any], message: str
) -> None:
    with pytest.raises(SourceError, match=message) as raised:
        read(next(iter(files), "prices.csv"), files, **source)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("uri", ["empty", "empty/*.csv"])
def test_a_folder_without_prices(read: Read, uri: str) -> None:
    with pytest.raises(SourceError, match=r"no \.csv, \.parquet, \.gz or \.zip file in"):
        read(uri, {"empty/notes.txt": b""})


def test_a_wide_source_has_only_closes(tmp_path: Path, make_panel: Callable[..., Panel]) -> None:
    (tmp_path / "wide.csv").write_bytes(b"Date,USD\n2020-01-02,1.1\n")
    panel = make_panel({"uri": str(tmp_path / "wide.csv"), **WIDE}, forecast={"target": "open"})
    with pytest.raises(SourceError, match=r'set \[forecast\].target = "close"'):
        list(read_source(panel))


def test_an_unknown_scheme(make_panel: Callable[..., Panel]) -> None:
    with pytest.raises(SourceError, match="no reader for gopher://"):
        list(read_source(make_panel({"uri": "gopher://prices"})))


def test_the_file_of_the_ecb_as_it_is(ecb_panel: Panel) -> None:
    offered = pa.concat_tables(read_source(ecb_panel)).to_pandas().astype({"unique_id": str})
    wide = pd.read_csv(ecb_panel.source.uri, index_col="Date", na_values=["N/A"]).dropna(
        axis="columns", how="all"
    )
    assert len(offered) == wide.count().sum()
    assert offered["raw"].isna().all()
    again = offered.pivot_table(index="ds", columns="unique_id", values="close")
    wide.index = pd.to_datetime(wide.index, utc=True).astype(again.index.dtype)
    pd.testing.assert_frame_equal(again, wide.add_prefix("EUR"), check_like=True, check_names=False)
