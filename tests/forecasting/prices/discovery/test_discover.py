"""Files in the shapes of vendors' exports: `discover` writes the panel, and the ingest reads it right."""

import sqlite3
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from forecasting.calendar import bar_calendar
from forecasting.errors import PanelError, SourceError
from forecasting.panel import Panel
from forecasting.prices.discovery.discover import discover
from forecasting.prices.discovery.panel_file import write_panel
from forecasting.prices.ingest import ingest
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

NOW = np.datetime64("2026-11-28T12:00", "us")
DAYS = bar_calendar("XNYS", "1D").bars(np.datetime64("2026-02-12"), np.datetime64("2026-11-27"))
DATES = pd.DatetimeIndex(DAYS)
HOURS = pd.date_range("2026-11-01", periods=240, freq="1h")
CLOSES = 100 + np.round(np.sin(np.arange(len(DAYS))), 2)

Read = Callable[[str], dict[str, list[float]]]


def price(at: int) -> float:
    return float(CLOSES[at % len(CLOSES)])


def lines(header: str, rows: list[str]) -> str:
    return "\n".join([*([header] if header else []), *rows]) + "\n"


def daily(form: str, row: str, header: str, *, newest_first: bool = False) -> str:
    """A file of daily bars: `row` is filled with the date, the close and a volume."""
    rows = [
        row.format(d=day.strftime(form), c=price(at), v=5_443_000 + at, k=3160.14)
        for at, day in enumerate(DATES)
    ]
    return lines(header, rows[::-1] if newest_first else rows)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Discover what lies at a path, write the panel, ingest, and return the closes of each series."""

    def of(name: str) -> dict[str, list[float]]:
        found = discover(str(tmp_path / name), NOW)
        path, _ = write_panel(found.panel, tmp_path / "panels")
        storage, panel = Storage(str(tmp_path / "store")), Panel.load(path)
        ingest(panel, storage, NOW)
        rows = PriceTable(storage, panel).newest().to_pandas()
        return {str(one): group["close"].tolist() for one, group in rows.groupby("unique_id", observed=True)}

    return of


FILES = {
    "HistoricalData_ACME.csv": daily(
        "%m/%d/%Y", "{d},${c:.2f},{v},${c:.2f},${c:.2f},${c:.2f}", "Date,Close/Last,Volume,Open,High,Low",
        newest_first=True,
    ),
    "ACME Historical Data.csv": daily(
        "%m/%d/%Y", '"{d}","{c:,.2f}","{c:,.2f}","{c:,.2f}","{c:,.2f}","{k}K","0.24%"',
        '\ufeff"Date","Price","Open","High","Low","Vol.","Change %"', newest_first=True,
    ),
    "ACME.csv": daily("%m/%d/%Y", '{d},{c},{c},{c},{c},"{v:,}"', "Date,Open,High,Low,Close,Volume"),
    "acme-usd-max.csv": daily(
        "%Y-%m-%d 00:00:00 UTC", "{d},{c},100.0,{v}", "snapped_at,price,market_cap,total_volume"
    ),
    "daily_ACME.csv": daily(
        "%Y-%m-%d", "{d},99,999,98,98.5,{c},{v}", "timestamp,open,high,low,close,adjusted_close,volume"
    ),
    "ACME_d1.csv": "https://www.example.test\n"
    + daily("%Y-%m-%d 00:00:00", "1,{d},{c},{v}", "unix,date,close,Volume USD"),
    "index.csv": daily("%Y-%m-%d", "{d},0.0,{c},{c},{c},{v}", "Date,open,high,low,close,volume"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_vendors_daily_file_becomes_its_closes(tmp_path: Path, read: Read, name: str) -> None:
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    ((series, closes),) = read(name).items()
    assert closes == [price(at) for at in range(len(DAYS))]
    assert series.lower() in ("acme", "index")


MORE = {
    "ACME.US.txt": daily(
        "%Y%m%d", "ACME,D,{d},000000,{c},{c},{c},{c},{v},0",
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>",
    ),
    "rates.csv": daily("%Y-%m-%d", "{d},{c}", "DATE,DEXUSEU").replace(f",{price(9)}\n", ",.\n"),
    "yahoo.csv": daily("%Y-%m-%d", "{d},9,{c}", "Date,Close,Adj Close").replace(
        f",9,{price(9)}\n", ",null,null\n"
    ),
    "frame.csv": daily("%Y-%m-%d %H:%M:%S", "{d},{c},{v}", ",Close,Volume"),
    "months.csv": daily("%d %b %Y", "{d},{c}", "Day,Price"),
    "boerse.csv": daily("%d.%m.%Y", "{d};{c}", "Datum;Schluss"),
    "footer.csv": daily("%m/%d/%Y", "ACME,{d},{c},+0.1%", "Symbol,Time,Last,%Chg")
    + '"Downloaded from a vendor"\n',
    "pairs.csv": daily("%m/%d/%Y,12:00 AM", "{d},{c}", "Date,Time,Close"),
    "halted.csv": daily("%Y-%m-%d", "{d},{c}", "Date,Close").replace(f",{price(0)}\n", ",.\n", 1),
}  # fmt: skip


@pytest.mark.parametrize("name", MORE)
def test_other_shapes_of_daily_files_are_read_too(tmp_path: Path, read: Read, name: str) -> None:
    (tmp_path / name).write_text(MORE[name], encoding="utf-8")
    ((_, closes),) = read(name).items()
    assert set(closes) <= {price(at) for at in range(len(DAYS))}
    missing = 200 - len(closes)
    assert missing == MORE[name].count(",.\n") + MORE[name].count(",null,null\n")


@pytest.mark.parametrize(
    ("rows", "decimal", "close"),
    [("{d};38.{n}", ",", 38_100.0), ('{d},"38,{n}"', ".", 38_100.0)],
    ids=["points", "commas"],
)
def test_a_mark_that_nothing_proves_is_a_guess_that_is_said(
    tmp_path: Path, rows: str, decimal: str, close: float
) -> None:
    header = "Date;Close" if ";" in rows else "Date,Close"
    text = [rows.format(d=f"{day:%Y-%m-%d}", n=100 + at) for at, day in enumerate(DATES)]
    (tmp_path / "x.csv").write_text(lines(header, text))
    found = discover(str(tmp_path / "x.csv"), NOW)
    assert (found.panel["source"]["decimal"], found.rows["close"][0].as_py()) == (decimal, close)
    assert any(guess.startswith("the decimal mark: ") for guess in found.unsure)


def test_thousands_points_are_never_decimals(tmp_path: Path, read: Read) -> None:
    rows = [f"{day:%d.%m.%Y};{38_000 + 15 * at:,};-0,{at % 10}" for at, day in enumerate(DATES)]
    (tmp_path / "nikkei.csv").write_text(
        lines("Datum;Schluss;Veränderung", [r.replace(",", ".", 1) for r in rows])
    )
    assert read("nikkei.csv") == {"nikkei": [38_000.0 + 15 * at for at in range(len(DAYS))]}


def test_spaces_separate_thousands_before_a_decimal_comma(tmp_path: Path, read: Read) -> None:
    rows = [f"{day:%d/%m/%Y};38\u202f{100 + at},50" for at, day in enumerate(DATES)]
    (tmp_path / "cac.csv").write_text(lines("Date;Dernier", rows), encoding="utf-8")
    assert read("cac.csv") == {"cac": [38_100.5 + at for at in range(len(DAYS))]}


def test_unix_seconds_and_a_pair_of_columns_are_times(tmp_path: Path, read: Read) -> None:
    unix = [f"{int(hour.timestamp())},{price(at)}" for at, hour in enumerate(HOURS)]
    (tmp_path / "tv.csv").write_text(lines("time,close", unix))
    pairs = [f"{hour:%Y.%m.%d}\t{hour:%H:%M:%S}\t{price(at)}" for at, hour in enumerate(HOURS)]
    (tmp_path / "BTC_H1.csv").write_text(lines("<DATE>\t<TIME>\t<CLOSE>", pairs))
    wanted = [price(at) for at in range(len(HOURS))]
    assert read("tv.csv") == {"tv": wanted}
    assert read("BTC_H1.csv") == {"BTC": wanted}


@pytest.mark.parametrize("form", ["%Y%m%d %H%M%S", "%Y-%m-%d %H:%M:%S", "ms"])
def test_a_file_without_a_header_loses_no_row(tmp_path: Path, read: Read, form: str) -> None:
    times = [str(int(hour.timestamp()) * 1000) if form == "ms" else hour.strftime(form) for hour in HOURS]
    rows = [f"{time};{price(at)};{price(at)};{price(at)};{price(at)};0" for at, time in enumerate(times)]
    (tmp_path / "DAT_EURUSD_H1.csv").write_text(lines("", rows))
    assert list(read("DAT_EURUSD_H1.csv").values()) == [[price(at) for at in range(len(HOURS))]]


@pytest.mark.parametrize(
    "before", [pd.Timedelta(0), pd.Timedelta("1ms"), pd.Timedelta("1ns"), pd.Timedelta("1s")]
)
def test_ends_of_bars_are_ends_however_close_they_are(
    tmp_path: Path, read: Read, before: pd.Timedelta
) -> None:
    ends = (HOURS + pd.Timedelta("1h") - before).as_unit("ns")
    table = pa.table(
        {"symbol": ["A"] * len(ends), "close_time": ends, "close": [price(at) for at in range(240)]}
    )
    pq.write_table(table, tmp_path / "bars.parquet")
    found = discover(str(tmp_path / "bars.parquet"), NOW)
    assert found.rows["ds"].to_pylist()[0].replace(tzinfo=None) == HOURS[0]
    assert read("bars.parquet") == {"A": [price(at) for at in range(240)]}


def test_two_header_lines_are_a_grid(tmp_path: Path, read: Read) -> None:
    rows = [f"{day:%Y-%m-%d},{price(at)},{price(at) / 2},7,8" for at, day in enumerate(DATES)]
    yahoo = ["Price,Close,Close,Volume,Volume", "Ticker,ACME,BOLT,ACME,BOLT", "Date,,,,", *rows]
    (tmp_path / "download.csv").write_text(lines("", yahoo))
    grid = ["Start Date,02/12/2026,,,", ",,,,", ",ACME US,BOLT US,,", "Dates,PX_LAST,PX_LAST,,"]
    (tmp_path / "grid.csv").write_text(lines("", [*grid, *(row.replace(",7,8", ",,") for row in rows)]))
    closes = [price(at) for at in range(len(DAYS))]
    halves = [price(at) / 2 for at in range(len(DAYS))]
    assert read("download.csv") == {"ACME": closes, "BOLT": halves}
    assert read("grid.csv") == {"ACME US": closes, "BOLT US": halves}


@pytest.mark.parametrize("folder", ["{}/daily.csv", "symbol={}/part-0.csv", "symbol={}/year=2026/part-0.csv"])
def test_folders_are_ids_where_they_tell_files_apart(tmp_path: Path, read: Read, folder: str) -> None:
    for name in ("ACME", "BOLT"):
        path = tmp_path / "data" / folder.format(name)
        path.parent.mkdir(parents=True)
        path.write_text(daily("%Y-%m-%d", "{d},{c}", "Date,close"))
    assert list(read("data")) == ["ACME", "BOLT"]


def test_a_delta_table_is_read_as_it_is_now(tmp_path: Path, read: Read) -> None:
    table = pa.table({"unique_id": ["A"] * len(DAYS), "ds": DATES.date, "close": CLOSES})
    write_deltalake(tmp_path / "bars", table)
    write_deltalake(
        tmp_path / "bars", table.slice(50).set_column(2, "close", pa.array(CLOSES[50:] + 1)), mode="overwrite"
    )
    assert read("bars") == {"A": [float(close) for close in CLOSES[50:] + 1]}


def test_local_midnights_are_the_days_of_their_exchange(tmp_path: Path, read: Read) -> None:
    days = bar_calendar("XTKS", "1D").bars(np.datetime64("2026-01-30"), np.datetime64("2026-11-26"))
    stamps = pd.DatetimeIndex(days).tz_localize("Asia/Tokyo").tz_convert("UTC")
    closes = [price(at) for at in range(len(days))]
    pq.write_table(pa.table({"Date": stamps, "Close": closes}), tmp_path / "7203.T.parquet")
    found = discover(str(tmp_path / "7203.T.parquet"), NOW)
    assert (found.panel["bars"]["calendar"], found.panel["source"]["time_zone"]) == ("XTKS", "Asia/Tokyo")
    assert read("7203.T.parquet") == {"7203.T": closes}


FITTING = [
    ("XNYS", "1D", 250),
    ("24/7", "1D", 200),
    ("FX", "1D", 250),
    ("ECB", "1D", 250),
    ("24/7", "4h", 300),
    ("24/7", "30min", 300),
    ("XNYS", "1h", 400),
]


@pytest.mark.parametrize(("calendar", "freq", "periods"), FITTING)
def test_the_calendar_and_frequency_that_fit(tmp_path: Path, calendar: str, freq: str, periods: int) -> None:
    ds = bar_calendar(calendar, freq).future(np.datetime64("2025-09-01", "us"), periods)
    table = pa.table({"unique_id": ["A"] * periods, "ds": pa.array(ds).cast(pa.timestamp("us", "UTC")),
                      "close": np.arange(periods) + 1.0})  # fmt: skip
    if freq == "1D":
        table = table.set_column(1, "ds", table["ds"].cast(pa.timestamp("us")).cast(pa.date32()))
    pq.write_table(table, tmp_path / "x.parquet")
    bars = discover(str(tmp_path / "x.parquet"), NOW).panel["bars"]
    assert (bars["calendar"], bars["freq"]) == (calendar, freq)


@pytest.mark.parametrize(
    ("freq", "step", "form"), [("1W", "W-FRI", "%Y-%m-%d"), ("1M", "ME", "%Y-%m-%d"), ("1M", "ME", "%Y-%m")]
)
def test_weekly_and_monthly_bars_are_found(
    tmp_path: Path, read: Read, freq: str, step: str, form: str
) -> None:
    days = pd.date_range("2020-01-03", "2026-10-31", freq=step)
    rows = [f"A,{day.strftime(form)},{price(at)}" for at, day in enumerate(days)]
    (tmp_path / "x.csv").write_text(lines("unique_id,ds,close", rows))
    assert discover(str(tmp_path / "x.csv"), NOW).panel["bars"]["freq"] == freq
    assert read("x.csv") == {"A": [price(at) for at in range(len(days))]}


def test_bars_wider_than_a_month_are_refused(tmp_path: Path) -> None:
    days = pd.date_range("2010-01-01", "2026-09-30", freq="QE")
    (tmp_path / "x.csv").write_text(
        lines("ds,close", [f"{day:%Y-%m-%d},{price(at)}" for at, day in enumerate(days)])
    )
    with pytest.raises(SourceError, match=r"x\.csv: most prices are 92 days apart, which is wider than"):
        discover(str(tmp_path / "x.csv"), NOW)


def test_prices_with_an_exponent_are_prices(tmp_path: Path, read: Read) -> None:
    (tmp_path / "x.csv").write_text(daily("%Y-%m-%d", "{d},{c}e-09", "ds,close"))
    assert read("x.csv") == {"x": [float(f"{price(at)}e-09") for at in range(len(DAYS))]}


def test_an_ambiguous_date_is_a_guess_that_is_said(tmp_path: Path) -> None:
    rows = [f"{day:%d/%m/%Y},{price(at)}" for at, day in enumerate(pd.date_range("2026-03-01", periods=12))]
    (tmp_path / "x.csv").write_text(lines("Date,Close", rows))
    found = discover(str(tmp_path / "x.csv"), NOW)
    assert found.panel["source"]["time_format"] == "%d/%m/%Y"
    assert any(
        guess.startswith("the time format: %d/%m/%Y was taken; %m/%d/%Y fit") for guess in found.unsure
    )


def test_prices_below_zero_are_forecast_by_differences(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(
        daily("%Y-%m-%d", "{d},{c}", "ds,close").replace(f",{price(5)}", ",-36.98")
    )
    assert discover(str(tmp_path / "x.csv"), NOW).panel["forecast"] == {"transform": "diff"}


def test_a_database_is_read_by_a_query(tmp_path: Path, read: Read) -> None:
    with sqlite3.connect(tmp_path / "p.db") as connection:
        connection.execute("create table bars (symbol text, day text, last real)")
        rows = [("A", f"{day:%Y-%m-%d}", price(at)) for at, day in enumerate(DATES)]
        connection.executemany("insert into bars values (?, ?, ?)", rows)
    connection.close()
    assert read("p.db") == {"A": [price(at) for at in range(len(DAYS))]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("hello\nworld\n", "no line holds a date or time and a number"),
        ("<html><table></table></html>", "web page"),
        ("PK\x03\x04", "an Excel workbook or a zip"),
        ("Date,Close,Close\n2026-01-02,1,2\n2026-01-05,1,2\n", "the column 'Close' twice"),
    ],
)
def test_what_holds_no_prices_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(SourceError, match=words) as raised:
        discover(str(tmp_path / "x.csv"), NOW)
    assert "\n" not in str(raised.value)


def test_a_panel_file_is_never_overwritten(tmp_path: Path) -> None:
    panel = {
        "name": "x",
        "source": {"uri": str(tmp_path / "x.csv"), "delimiter": "\t", "columns": {"close": 'a"b'}},
    }
    path, variable = write_panel(panel, tmp_path / "panels")
    assert tomllib.loads(path.read_text())["source"] == {**panel["source"], "uri": "../x.csv"}
    assert variable == ""
    with pytest.raises(PanelError, match=r"x\.toml is there already"):
        write_panel(panel, tmp_path / "panels")


def test_a_password_becomes_a_variable(tmp_path: Path) -> None:
    panel = {"name": "my-panel", "source": {"uri": "postgresql+psycopg://me:s3cret@db.example.com/m"}}
    path, variable = write_panel(panel, tmp_path)
    assert variable == "MY_PANEL_PASSWORD"
    assert "s3cret" not in path.read_text()
    assert 'uri = "postgresql+psycopg://me:${MY_PANEL_PASSWORD}@db.example.com/m"' in path.read_text()
