"""Tests against SQLite, and against a PostgreSQL server if one runs on loopback."""

import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.prices.sources import open_source, sql
from forecasting.storage import Storage
from tests.postgresql import postgresql

QUERY = "select * from bars where day >= :since order by day, symbol"
SOURCE = {
    "query": QUERY,
    "time_column": "day",
    "id_column": "symbol",
    "columns": {"close": "last", "volume": "traded"},
}


def sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'prices.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, sqlalchemy.Connection]]:
    """A database's URL, and a connection for filling it; on PostgreSQL a schema of the test's own."""
    uri = sqlite(tmp_path) if request.param == "sqlite" else postgresql()
    engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.pool.NullPool)
    schema = f"nightcast_test_{os.getpid()}"
    with engine.connect() as connection:
        if request.param == "postgresql":
            connection.execute(sqlalchemy.text(f"create schema {schema}"))
            connection.execute(sqlalchemy.text(f"set search_path to {schema}"))
            connection.commit()
            uri += f"?options=-csearch_path%3D{schema}"
        yield uri, connection
        connection.rollback()
        if request.param == "postgresql":
            connection.execute(sqlalchemy.text(f"drop schema {schema} cascade"))
            connection.commit()


def fill(connection: sqlalchemy.Connection, columns: str, rows: list[dict[str, Any]]) -> None:
    connection.execute(sqlalchemy.text(f"create table bars ({columns})"))
    names = ", ".join(f":{name}" for name in rows[0])
    connection.execute(sqlalchemy.text(f"insert into bars values ({names})"), rows)  # noqa: S608 # ours
    connection.commit()


def offered(panel: Panel, since: str | None = None) -> list[dict[str, Any]]:
    batches = open_source(panel).read(np.datetime64(since, "us") if since else None)
    rows = pa.concat_tables(batches).to_pylist()
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def bar(unique_id: str, day: int, close: float, **more: Any) -> dict[str, Any]:
    return {"unique_id": unique_id, "ds": datetime(2020, 1, day, tzinfo=UTC), "close": close, **more}


ROWS = [
    {"symbol": "A", "day": "2020-01-02", "last": "1.5", "traded": 900},
    {"symbol": "B", "day": "2020-01-02", "last": "2.5", "traded": None},
    {"symbol": "A", "day": "2020-01-03", "last": "1.6", "traded": 901},
]


def test_all_bars_and_then_the_new_ones(
    database: tuple[str, sqlalchemy.Connection],
    make_panel: Callable[..., Panel],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uri, connection = database
    fill(connection, "symbol varchar(9), day date, last numeric(9, 4), traded int", ROWS)
    monkeypatch.setattr(sql, "_CHUNK_ROWS", 2)
    panel = make_panel({"uri": uri, **SOURCE})
    assert offered(panel) == [bar("A", 2, 1.5, volume=900), bar("B", 2, 2.5), bar("A", 3, 1.6, volume=901)]
    assert offered(panel, "2020-01-03T17:00") == [bar("A", 3, 1.6, volume=901)]
    assert [batch.num_rows for batch in open_source(panel).read()] == [2, 1]


def test_nothing_is_written(
    database: tuple[str, sqlalchemy.Connection], make_panel: Callable[..., Panel]
) -> None:
    uri, connection = database
    fill(connection, "symbol varchar(9), day date, last numeric(9, 4), traded int", ROWS)
    panel = make_panel({"uri": uri, **SOURCE, "query": "delete from bars where day >= :since returning *"})
    with suppress(SourceError):  # PostgreSQL refuses it, SQLite takes it back
        offered(panel)
    assert connection.execute(sqlalchemy.text("select count(*) from bars")).scalar() == 3


@pytest.mark.parametrize("kind", ["timestamp with time zone", "timestamp"])
def test_intraday_times_with_a_zone_and_without(make_panel: Callable[..., Panel], kind: str) -> None:
    values = "values ('A', '2020-07-01 09:00+00'::timestamptz at time zone 'UTC', 'NaN'::numeric)"
    stated = {"timestamp": "2020-07-01 11:00", "timestamp with time zone": "2020-07-01 09:00+00"}[kind]
    query = values.replace("'2020-07-01 09:00+00'::timestamptz at time zone 'UTC'", f"'{stated}'::{kind}")
    query = f"select * from ({query}) as bars (unique_id, ds, close) where ds >= :since"  # noqa: S608 # ours
    source = {"uri": postgresql(), "query": query, "time_zone": "Europe/Berlin"}
    panel = make_panel(source, bars={"freq": "1h"})
    (row,) = offered(panel)
    assert row["ds"] == datetime(2020, 7, 1, 9, tzinfo=UTC)
    assert np.isnan(row["close"])


def test_an_ingest_asks_for_what_is_new_and_an_overlap(
    database: tuple[str, sqlalchemy.Connection], make_panel: Callable[..., Panel], storage: Storage
) -> None:
    uri, connection = database
    fill(connection, "symbol varchar(9), day date, last numeric(9, 4), traded int", ROWS)
    panel = make_panel({"uri": uri, **SOURCE, "overlap_days": 1})
    now = np.datetime64("2020-01-10", "us")
    assert ingest(panel, storage, now).appended == 3
    insert = "insert into bars values ('A', '2020-01-04', 1.7, 902)"
    for change in ("update bars set last = 1.55 where day = '2020-01-02' and symbol = 'A'", insert):
        connection.execute(sqlalchemy.text(change))
    connection.commit()
    report = ingest(panel, storage, now)
    assert (report.offered, report.appended, report.revised) == (4, 2, 1)
    report = ingest(panel, storage, now)
    assert (report.offered, report.appended) == (2, 0)


def error_of(panel: Panel) -> str:
    with pytest.raises(SourceError) as raised:
        offered(panel)
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_what_is_wrong_with_a_query_is_said_in_one_line(
    database: tuple[str, sqlalchemy.Connection], make_panel: Callable[..., Panel]
) -> None:
    uri, connection = database
    fill(connection, "symbol varchar(9), day date, last numeric(9, 4), traded int", ROWS)
    message = error_of(make_panel({"uri": uri, **SOURCE, "query": "select * from nothing where :since = ''"}))
    assert "nothing" in message
    assert "check [source].query" in message
    message = error_of(make_panel({"uri": uri, **SOURCE, "columns": {"close": "price"}}))
    assert "no column 'price' in" in message


def test_a_database_that_is_not_there(tmp_path: Path, make_panel: Callable[..., Panel]) -> None:
    assert "no database at sqlite:" in error_of(make_panel({"uri": sqlite(tmp_path), "query": QUERY}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("nosuchdb://joe:secret@host/prices", "install the driver"),
        ("postgresql+nosuch://joe:secret@host/prices", "install the driver"),
        ("postgresql+psycopg://joe:secret@127.0.0.1:1/prices", "refused"),
        ("postgresql+psycopg://joe:secret@host:port/prices", "not a URL that SQLAlchemy can read"),
    ],
)
def test_no_password_in_an_error(make_panel: Callable[..., Panel], uri: str, words: str) -> None:
    if "psycopg" in uri:
        pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    message = error_of(make_panel({"uri": uri, "query": QUERY}))
    assert words in message
    assert "secret" not in message


def test_decimals_are_numbers() -> None:
    table = sql._table(["close"], [(Decimal("1.5"), None, Decimal("NaN"))])  # noqa: SLF001 # what drivers give
    assert table["close"].type == pa.float64()


def test_a_number_among_texts_is_a_text() -> None:
    table = sql._table(["close"], [("1.5", None, 2.5, Decimal(3))])  # noqa: SLF001 # what SQLite gives
    assert table["close"].to_pylist() == ["1.5", None, "2.5", "3.0"]


def test_an_id_of_another_type_is_its_text(make_panel: Callable[..., Panel]) -> None:
    name = str(uuid.UUID(int=0xABCDEF1234567890ABCDEF1234567890))
    rows = f"(values ('{name}'::uuid, date '2020-01-02', 1.5)) as bars (unique_id, ds, close)"
    query = f"select * from {rows} where ds >= cast(:since as date)"  # noqa: S608 # ours
    assert offered(make_panel({"uri": postgresql(), "query": query})) == [bar(name, 2, 1.5)]


@pytest.mark.parametrize(("zone", "day"), [("", 2), ("America/New_York", 1)])
def test_the_date_of_an_instant_is_that_of_the_panel(
    make_panel: Callable[..., Panel], monkeypatch: pytest.MonkeyPatch, zone: str, day: int
) -> None:
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    rows = "(values ('A', timestamptz '2020-01-02 03:00+00', 1.5)) as bars (unique_id, ds, close)"
    query = f"select * from {rows} where ds >= cast(:since as timestamptz)"  # noqa: S608 # ours
    assert offered(make_panel({"uri": postgresql(), "query": query, "time_zone": zone})) == [
        bar("A", day, 1.5)
    ]


def test_a_server_that_never_answers_is_given_up(
    make_panel: Callable[..., Panel], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    monkeypatch.setattr(sql, "_SILENCE_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"postgresql+psycopg://joe@127.0.0.1:{silent.getsockname()[1]}/prices"
        assert "timeout expired" in error_of(make_panel({"uri": uri, "query": QUERY}))


def test_a_query_that_takes_too_long_is_given_up(make_panel: Callable[..., Panel]) -> None:
    query = "select pg_sleep(60) as close, 'A' as unique_id, :since as ds"
    message = error_of(make_panel({"uri": postgresql(), "query": query, "time_limit_minutes": 0.005}))
    assert "took longer than 0.005 minutes; raise [source].time_limit_minutes" in message


def test_since_that_is_no_parameter_is_said(make_panel: Callable[..., Panel]) -> None:
    query = "select * from bars where ds >= :since::date"
    message = error_of(make_panel({"uri": "postgresql+psycopg://joe@127.0.0.1:1/prices", "query": query}))
    assert "write cast(:since as date) in [source].query" in message
