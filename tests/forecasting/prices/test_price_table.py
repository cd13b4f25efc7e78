from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import WriterProperties
from deltalake.exceptions import CommitFailedError

from forecasting.errors import StoreError
from forecasting.panel import Panel
from forecasting.prices.schema import BARS, GOOD, PRICES
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

NOON = np.datetime64("2020-03-10T12:00", "us")
HOUR = np.timedelta64(1, "h")
TICK = np.timedelta64(1, "us")


def prices(*rows: tuple[str, str, float]) -> pa.Table:
    """Rows of id, time and close."""
    names, ds, closes = zip(*rows, strict=True)
    columns: dict[str, Any] = {field.name: pa.nulls(len(rows), field.type) for field in GOOD}
    columns |= {
        "unique_id": list(names),
        "ds": pa.array(np.array(ds, "datetime64[us]")),
        "close": list(closes),
    }
    columns["ds"] = columns["ds"].cast(GOOD.field("ds").type)
    return pa.table(columns, schema=GOOD)


def closes(table: pa.Table) -> list[tuple[str, str, float]]:
    days = [ds.date().isoformat() for ds in table["ds"].to_pylist()]
    return list(zip(table["unique_id"].to_pylist(), days, table["close"].to_pylist(), strict=True))


@pytest.fixture
def panel(make_panel: Callable[..., Panel]) -> Panel:
    return make_panel({"uri": "nowhere.csv"})


@pytest.fixture
def table(storage: Storage, panel: Panel) -> PriceTable:
    return PriceTable.create(storage, panel)


def test_a_new_table_is_empty(table: PriceTable) -> None:
    assert table.newest().schema == BARS
    assert (table.newest().num_rows, table.known_at, table.version) == (0, None, 0)


def test_a_panel_without_prices(storage: Storage) -> None:
    with pytest.raises(StoreError, match=r"no prices of panel tiny .* run: nightcast ingest tiny"):
        PriceTable(storage, "tiny")


def test_a_table_exists_from_its_making_on(storage: Storage, panel: Panel) -> None:
    assert not PriceTable.exists(storage, "tiny")
    PriceTable.create(storage, panel)
    assert PriceTable.exists(storage, "tiny")


def test_each_read_has_its_own_truth(table: PriceTable) -> None:
    first = table.append(prices(("B", "2020-03-02", 5.0), ("A", "2020-03-02", 1.0)), NOON)
    second = table.append(prices(("A", "2020-03-02", 2.0), ("A", "2020-03-03", 9.0)), NOON + HOUR)
    before = [("A", "2020-03-02", 1.0), ("B", "2020-03-02", 5.0)]
    after = [("A", "2020-03-02", 2.0), ("A", "2020-03-03", 9.0), ("B", "2020-03-02", 5.0)]
    assert closes(table.newest()) == after
    assert closes(table.first_vintage()) == [before[0], after[1], before[1]]
    assert closes(table.as_known_at(first)) == before
    assert closes(table.as_known_at(second - TICK)) == before
    assert closes(table.as_known_at(second)) == after
    assert table.as_known_at(first - TICK).num_rows == 0


@pytest.mark.parametrize("read", ["newest", "first_vintage"])
def test_a_read_until_a_bar_holds_that_bar_and_no_later_one(table: PriceTable, read: str) -> None:
    table.append(prices(("A", "2019-12-31", 1.0), ("A", "2020-03-02", 2.0), ("A", "2020-03-03", 3.0)), NOON)
    rows = getattr(table, read)(until=np.datetime64("2020-03-02"))
    assert closes(rows) == [("A", "2019-12-31", 1.0), ("A", "2020-03-02", 2.0)]


def test_a_read_of_some_series_has_their_rows_only(
    table: PriceTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small row groups, so that a read of few series skips some.
    monkeypatch.setattr("forecasting.prices.delta._GROUP_ROWS", 4)
    monkeypatch.setattr("forecasting.prices.delta.WRITER", WriterProperties(max_row_group_size=4))
    names = [f"S{number:02}" for number in range(12)]
    table.append(prices(*((name, f"2020-03-{day:02}", day) for name in names for day in (2, 3, 4))), NOON)
    table.append(prices(("S05", "2020-03-03", 9.0), ("S11", "2020-03-05", 5.0)), NOON + HOUR)
    everything = closes(table.newest())
    for ids in (["S00"], ["S05", "S06"], ["S03", "S11"], ["S05", "X"], ["X"], [], names):
        assert closes(table.of(ids).newest()) == [row for row in everything if row[0] in ids]
    assert table.ids == tuple(names)
    assert table.rows == 38


def test_a_read_of_some_values_has_no_others(table: PriceTable) -> None:
    table.append(prices(("A", "2020-03-02", 1.0)), NOON)
    assert table.newest(values=["close"]).column_names == ["unique_id", "ds", "close", "known_at"]


@pytest.mark.parametrize("later", [NOON, NOON - 9 * HOUR], ids=["stopped", "set back"])
def test_known_at_increases_whatever_the_clock_does(
    table: PriceTable, storage: Storage, later: np.datetime64
) -> None:
    assert table.append(prices(("A", "2020-03-02", 1.0)), NOON) == NOON
    assert table.append(prices(("A", "2020-03-02", 2.0)), later) == NOON + TICK
    again = PriceTable(storage, "tiny")
    assert (again.known_at, again.version) == (NOON + TICK, 2)
    assert closes(again.newest()) == [("A", "2020-03-02", 2.0)]


def test_a_writer_that_missed_another_one_writes_nothing(table: PriceTable, storage: Storage) -> None:
    late = PriceTable(storage, "tiny")
    table.append(prices(("A", "2020-03-02", 1.0)), NOON)
    with pytest.raises(CommitFailedError):
        late.append(prices(("A", "2020-03-02", 2.0)), NOON - HOUR)
    assert closes(PriceTable(storage, "tiny").newest()) == [("A", "2020-03-02", 1.0)]


def test_a_table_is_read_as_it_was_when_it_was_opened(table: PriceTable, storage: Storage) -> None:
    table.append(prices(("A", "2020-03-02", 1.0)), NOON)
    opened = PriceTable(storage, "tiny")
    table.append(prices(("A", "2020-03-02", 2.0)), NOON + HOUR)
    assert (opened.version, closes(opened.newest())) == (1, [("A", "2020-03-02", 1.0)])


def test_a_table_of_a_newer_format_is_refused(
    storage: Storage, panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forecasting.prices.delta.FORMAT", 2)
    PriceTable.create(storage, panel)
    monkeypatch.undo()
    with pytest.raises(StoreError, match="prices/tiny has format 2, newer than 1; upgrade nightcast"):
        PriceTable(storage, "tiny")


@pytest.mark.usefixtures("table")
def test_a_panel_cannot_change_the_frequency_of_its_bars(
    storage: Storage, make_panel: Callable[..., Panel]
) -> None:
    hourly = make_panel({"uri": "nowhere.csv"}, bars={"freq": "1h"})
    with pytest.raises(StoreError, match=r"are bars of 1D, and its \[bars\].freq is 1h; set it back"):
        PriceTable.create(storage, hourly)


def test_a_daily_panel_lies_by_year_sorted(table: PriceTable, storage: Storage) -> None:
    table.append(prices(("B", "2020-03-02", 1.0), ("A", "2020-03-03", 2.0), ("A", "2019-03-04", 3.0)), NOON)
    folder = Path(storage.table_uri("prices/tiny"))
    assert sorted(path.name for path in folder.glob("year=*")) == ["year=2019", "year=2020"]
    (file,) = folder.glob("year=2020/*.parquet")
    assert pq.ParquetFile(file).read()["unique_id"].to_pylist() == ["A", "B"]


def test_an_intraday_panel_lies_by_month(storage: Storage, make_panel: Callable[..., Panel]) -> None:
    table = PriceTable.create(storage, make_panel({"uri": "nowhere.csv"}, bars={"freq": "1h"}))
    table.append(prices(("A", "2020-03-02T15:00", 1.0), ("A", "2020-11-02T15:00", 2.0)), NOON)
    folder = Path(storage.table_uri("prices/tiny"))
    assert len(list(folder.glob("year=2020/month=3/*.parquet"))) == 1
    assert len(list(folder.glob("year=2020/month=11/*.parquet"))) == 1
    assert table.newest()["close"].to_pylist() == [1.0, 2.0]


def test_ids_that_are_no_file_names_come_back(table: PriceTable) -> None:
    ids = ["../x", "BRK/B", "EUR=X", "Société'; --", ""]
    table.append(prices(*((name, "2020-03-02", 1.0) for name in ids)), NOON)
    assert table.newest()["unique_id"].to_pylist() == sorted(ids)


def test_other_readers_of_delta_tables_see_the_same(table: PriceTable, storage: Storage) -> None:
    table.append(prices(("B", "2020-03-02", 5.0), ("A", "2019-03-02", 1.0)), NOON)
    table.append(prices(("B", "2020-03-02", 6.0)), NOON)
    frame = pl.read_delta(storage.table_uri("prices/tiny")).sort("unique_id", "ds", "known_at")
    assert frame.select("unique_id", "close", "year").rows() == [
        ("A", 1.0, 2019),
        ("B", 5.0, 2020),
        ("B", 6.0, 2020),
    ]
    newest = frame.unique(["unique_id", "ds"], keep="last", maintain_order=True).select(PRICES.names)
    assert newest.to_arrow().cast(PRICES).equals(table.newest().cast(PRICES))


def test_compaction_changes_no_read(table: PriceTable, storage: Storage) -> None:
    for day in range(1, 6):
        table.append(prices(("A", f"2020-03-0{day}", 1.0), ("B", "2020-03-01", float(day))), NOON)
    before = [table.newest(), table.first_vintage(), table.as_known_at(NOON + 2 * TICK)]
    deltalake.DeltaTable(storage.table_uri("prices/tiny")).optimize.compact()
    compacted = PriceTable(storage, "tiny")
    after = [compacted.newest(), compacted.first_vintage(), compacted.as_known_at(NOON + 2 * TICK)]
    assert before == after
    assert compacted.known_at == table.known_at
    assert compacted.append(prices(("A", "2020-03-01", 7.0)), NOON) == table.known_at + TICK
