"""The same prices in the dialects of different programs and countries."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.audit.rows import audit_rows
from forecasting.prices.sources import csv_tables, read_source
from forecasting.prices.sources.numbers import read_numbers
from forecasting.prices.sources.times import read_times

Read = Callable[..., list[dict[str, Any]]]

HOURLY = {"freq": "1h"}


@pytest.fixture
def panel_of(tmp_path: Path, make_panel: Callable[..., Panel]) -> Callable[..., Panel]:
    """A panel whose source is a file with these bytes."""

    def panel(
        data: bytes, name: str = "prices.csv", bars: dict[str, Any] | None = None, **source: Any
    ) -> Panel:
        (tmp_path / name).write_bytes(data)
        return make_panel({"uri": str(tmp_path / name), **source}, bars=bars or {})

    return panel


@pytest.fixture
def read(panel_of: Callable[..., Panel]) -> Read:
    """The rows that such a panel is offered, without nulls."""

    def rows(data: bytes, **settings: Any) -> list[dict[str, Any]]:
        offered = pa.concat_tables(read_source(panel_of(data, **settings))).to_pylist()
        return [{name: value for name, value in row.items() if value is not None} for row in offered]

    return rows


def bar(close: float, *when: int, unique_id: str = "A") -> dict[str, Any]:
    return {"unique_id": unique_id, "ds": datetime(*when, tzinfo=UTC), "close": close}


@pytest.mark.parametrize(
    ("data", "source"),
    [
        (b"unique_id;ds;close\nA;2020-01-02;1,25\n", {}),
        (b"unique_id\tds\tclose\nA\t2020-01-02\t1.25\n", {}),
        (b"unique_id|ds|close\nA|2020-01-02|1.25\n", {}),
        (b'unique_id,ds,close\nA,2020-01-02,"1,25"\n', {}),
        (b"unique_id~ds~close\nA~2020-01-02~1.25\n", {"delimiter": "~"}),
        (b"unique_id;ds;close\nA;02.01.2020;1,250\n", {"decimal": ",", "time_format": "%d.%m.%Y"}),
        ("unique_id;ds;close\nA;2020-01-02;1,25\n".encode("utf-16"), {}),
        ("\ufeffunique_id;ds;close\nA;2020-01-02;1,25\n".encode(), {"encoding": "utf-8"}),
    ],
    ids=["semicolon", "tab", "bar", "quoted comma", "stated", "German", "UTF-16", "byte order mark"],
)
def test_delimiter_and_decimal_mark(read: Read, data: bytes, source: dict[str, Any]) -> None:
    assert read(data, **source) == [bar(1.25, 2020, 1, 2)]


def test_thousands_are_not_taken_for_decimals(read: Read) -> None:
    (row,) = read(b"unique_id;ds;close\nA;2020-01-02;1,250\n")
    assert row["raw"] == 'close="1,250"'


def test_a_point_is_not_a_decimal_comma() -> None:
    numbers = read_numbers(pa.chunked_array([["1,5", "1.5", "1.234,5", None]]), ",")
    assert numbers.to_pylist() == [1.5, None, 1234.5, None]


def test_a_stated_encoding_decides(read: Read) -> None:
    data = "unique_id,ds,close\nŁódź,2020-01-02,1.25\n".encode("cp1250")
    assert read(data, encoding="cp1250") == [bar(1.25, 2020, 1, 2, unique_id="Łódź")]


def test_a_wrong_encoding_is_named(read: Read) -> None:
    with pytest.raises(SourceError, match=r"prices.csv is not encoded in utf-8; correct \[source\].encoding"):
        read("unique_id,ds,close\nŁ,2020-01-02,1.25\n".encode("cp1250"), encoding="utf-8")


@pytest.mark.parametrize(
    ("ids", "encoding"),
    [
        (["ÅLANDSBANKEN", "Zürich Börse €"], "cp1252"),
        (["São Paulo"], "cp1252"),
        (["Ørsted", "L\u2019Oréal"], "cp1252"),
        (["Газпром", "Сбербанк"], "cp1251"),
        (["Εθνική Τράπεζα"], "cp1253"),
        (["トヨタ自動車"], "shift_jis"),
    ],
)
@pytest.mark.parametrize("before", [0, 10_000])
def test_a_guessed_encoding_is_right_wherever_its_letters_are_and_said(
    read: Read, caplog: pytest.LogCaptureFixture, ids: list[str], encoding: str, before: int
) -> None:
    lines = ["A;2020-01-02;1,5"] * before + [f"{unique_id};2020-01-02;1,5" for unique_id in ids]
    rows = read("\n".join(["unique_id;ds;close", *lines, ""]).encode(encoding))
    assert [row["unique_id"] for row in rows[before:]] == ids
    assert "prices.csv is not UTF-8 and was read as cp" in caplog.text
    assert "set [source].encoding" in caplog.text


def test_a_guess_does_not_hang_on_the_blocks_in_which_a_file_is_read(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ["\u0426", "\u042e", "\u0416\u0434\u0438\u0449", "\u041b\u0443\u0447\u0448\u0438\u0439"]
    lines = "".join(f"{unique_id},2020-01-02,1\n" for unique_id in ids)
    for block in (30, 60, 1 << 20):
        monkeypatch.setattr(csv_tables, "_BLOCK_BYTES", block)
        rows = read(f"unique_id,ds,close\n{lines}".encode("cp1251"))
        assert [row["unique_id"] for row in rows] == ids


@pytest.mark.parametrize("pattern", ["prices_*_daily", "*", "prices_*"])
def test_the_id_in_a_files_name(read: Read, pattern: str) -> None:
    (row,) = read(
        b"ds,close\n2020-01-02,1.25\n", name="prices_BRK.B_daily.csv", id_column="", id_in_file_name=pattern
    )
    wanted = {"prices_*_daily": "BRK.B", "*": "prices_BRK.B_daily", "prices_*": "BRK.B_daily"}
    assert row["unique_id"] == wanted[pattern]


@pytest.mark.parametrize("name", ["prices_.csv", "other.csv", "prices.csv"])
def test_a_file_without_the_id_in_its_name(read: Read, name: str) -> None:
    with pytest.raises(SourceError, match=r"no id in the file's name, which is not like 'prices_\*'"):
        read(b"ds,close\n2020-01-02,1.25\n", name=name, id_column="", id_in_file_name="prices_*")


MANY = b"unique_id,ds,close\nEURUSD,2020-01-02,1\nEURJPY,2020-01-02,2\nGOLD,2020-01-02,3\n,2020-01-02,4\n"


@pytest.mark.parametrize(
    ("lists", "ids"),
    [
        ({"include": ["EUR*"]}, ["EURUSD", "EURJPY", None]),
        ({"exclude": ["EUR*"]}, ["GOLD", None]),
        ({"include": ["EUR*", "GOLD"], "exclude": ["*JPY"]}, ["EURUSD", "GOLD", None]),
    ],
)
def test_included_and_excluded_series(read: Read, lists: dict[str, Any], ids: list[str | None]) -> None:
    assert [row.get("unique_id") for row in read(MANY, **lists)] == ids


def test_lists_know_a_wide_series_with_its_prefix(read: Read) -> None:
    data = b"ds,USD,JPY\n2020-01-02,1.25,120\n"
    rows = read(data, layout="wide", prefix="EUR", include=["EURUSD"])
    assert rows == [bar(1.25, 2020, 1, 2, unique_id="EURUSD")]


@pytest.mark.parametrize("layout", ["wide", "long"])
def test_lists_that_leave_nothing(read: Read, layout: str) -> None:
    with pytest.raises(SourceError, match=r"no series at .* is in \[source\].include and not in exclude"):
        read(MANY.replace(b"\n,", b"\nGOLD,"), layout=layout, include=["EURUDS"])


@pytest.mark.parametrize(
    ("written", "source", "hour"),
    [
        ("2020-07-01 11:00", {}, 11),
        ("2020-07-01 11:00", {"time_zone": "Europe/Berlin"}, 9),
        ("2020-07-01T11:00:00Z", {"time_zone": "Europe/Berlin"}, 11),
        ("2020-07-01 11:00:00.000+01:00", {"time_zone": "Europe/Berlin"}, 10),
        ("20200701 110000-05", {"time_zone": "Europe/Berlin"}, 16),
        ("01/07/2020 11:00", {"time_zone": "Europe/Berlin", "time_format": "%d/%m/%Y %H:%M"}, 9),
        ("01/07/2020 11:00 +0100", {"time_zone": "Europe/Berlin", "time_format": "%d/%m/%Y %H:%M %z"}, 10),
        ("2020-07-01 11:00", {"stamp": "end"}, 10),
        ("2020-07-01 00:00", {"stamp": "end", "time_zone": "America/New_York"}, 3),
    ],
)
def test_intraday_times(read: Read, written: str, source: dict[str, Any], hour: int) -> None:
    (row,) = read(f"unique_id,ds,close\nA,{written},1.25\n".encode(), bars=HOURLY, **source)
    assert row["ds"] == datetime(2020, 7, 1, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "form", "named"),
    [
        ("2020-07-01 11:00", "", False),
        ("2020-07-01T11:00:00Z", "", True),
        ("2020-07-01 11:00:00.000+01:00", "", True),
        ("20200701 110000-05", "", True),
        ("01-07-2020 11:00", "%d-%m-%Y %H:%M", False),
        ("01/07/2020 11:00 +0100", "%d/%m/%Y %H:%M %z", True),
    ],
)
def test_whether_an_intraday_time_names_its_zone(read: Read, written: str, form: str, named: bool) -> None:
    (row,) = read(f"unique_id,ds,close\nA,{written},1.25\n".encode(), bars=HOURLY, time_format=form)
    assert row["zoned"] is named


def test_a_daily_date_keeps_its_day_whatever_zone_its_format_has(read: Read) -> None:
    data = b"unique_id,ds,close\nA,02.01.2020 00:00 +0200,1.25\n"
    assert read(data, time_format="%d.%m.%Y %H:%M %z") == [bar(1.25, 2020, 1, 2)]


@pytest.mark.parametrize(
    ("kind", "hour"),
    [(pa.timestamp("ms"), 9), (pa.timestamp("ns", "America/New_York"), 11), (pa.date32(), -2)],
)
def test_times_that_are_not_text(make_panel: Callable[..., Panel], kind: pa.DataType, hour: int) -> None:
    column = pa.chunked_array([pa.array([pd.Timestamp("2020-07-01T11:00")]).cast(kind)])
    midnight = pd.Timestamp("2020-07-01", tz="UTC")
    panel = make_panel({"uri": "x.csv", "time_zone": "Europe/Berlin"}, bars=HOURLY)
    times = read_times([column], panel, "x.csv").ds
    assert times.to_pylist() == [midnight + pd.Timedelta(hours=hour)]


# Berlin set its clocks from 3:00 back to 2:00 on 2020-10-25, and from 2:00 to 3:00 on 2020-03-29.
@pytest.mark.parametrize("time", ["2020-10-25 02:00", "2020-03-29 02:00"])
def test_a_local_time_that_is_no_one_instant_goes_to_the_quarantine(
    panel_of: Callable[..., Panel], time: str
) -> None:
    data = f"unique_id,ds,close\nA,{time},1\nA,2020-12-01 00:00,1\n".encode()
    panel = panel_of(data, bars=HOURLY, time_zone="Europe/Berlin")
    audit = audit_rows(
        pa.concat_tables(read_source(panel)),
        panel,
        panel.calendar,
        pd.Timestamp("2026-01-01").to_datetime64(),
    )
    assert audit.good.num_rows == 1
    assert audit.refused["code"].to_pylist() == ["P013"]
    assert audit.refused["raw"].to_pylist() == [f'ds="{time}"']


# The New York Stock Exchange opens at 9:30, and closed at 13:00 on 2020-11-27, the day after Thanksgiving:
# https://www.nyse.com/markets/hours-calendars
def test_the_end_of_a_session_ends_its_last_and_shorter_bar(read: Read) -> None:
    ends = ["10:30", "11:30", "12:30", "13:00", "13:30"]
    lines = "".join(f"A,2020-11-27 {end},1\n" for end in ends)
    rows = read(
        f"unique_id,ds,close\n{lines}".encode(),
        bars={"freq": "1h", "calendar": "XNYS"},
        time_zone="America/New_York",
        stamp="end",
    )
    starts = [row["ds"].strftime("%H:%M") for row in rows]
    assert starts == ["14:30", "15:30", "16:30", "17:30", "18:30"]
