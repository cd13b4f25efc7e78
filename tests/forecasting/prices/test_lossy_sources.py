"""Sources that offer less than before: by mistake, on purpose, or by design."""

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecasting.errors import AuditError
from forecasting.panel import Panel
from forecasting.prices.ingest import IngestReport, ingest
from forecasting.prices.quarantine import Quarantine
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

FIRST = np.datetime64("2020-01-01", "us")
DAY = np.timedelta64(1, "D")
TEN = "ABCDEFGHIJ"

Row = tuple[str, str, Any]  # id, date, close


def rows(days: Iterable[int], names: str = "A") -> list[Row]:
    """Newest first, as many sources have it."""
    return [
        (name, str((FIRST + day * DAY).astype("M8[D]")), 10 + day % 3)
        for day in sorted(days, reverse=True)
        for name in names
    ]


class Nights:
    """A panel, one ingest after another; each with what the source has that night."""

    def __init__(self, folder: Path, make_panel: Callable[..., Panel], *, database: bool) -> None:
        self.folder, self.make_panel = folder, make_panel
        self.storage = Storage(str(folder / "store"))
        self.source = {"uri": str(folder / "prices.csv")}
        if database:
            query = "select * from bars where ds >= :since"
            self.source = {"uri": f"sqlite:///{folder / 'prices.db'}", "query": query}

    def __call__(
        self,
        given: list[Row],
        now: int = 1000,
        source: dict[str, Any] | None = None,
        **sections: dict[str, Any],
    ) -> IngestReport:
        if "query" in self.source:
            with sqlite3.connect(self.folder / "prices.db") as database:
                database.execute("drop table if exists bars")
                database.execute("create table bars (unique_id, ds, close)")
                database.executemany("insert into bars values (?, ?, ?)", given)
            database.close()
        else:
            lines = [",".join(map(str, row)) for row in given]
            (self.folder / "prices.csv").write_text("\n".join(["unique_id,ds,close", *lines]) + "\n")
        panel = self.make_panel(self.source | (source or {}), **sections)
        return ingest(panel, self.storage, FIRST + now * DAY)


@pytest.fixture
def nights(tmp_path: Path, make_panel: Callable[..., Panel]) -> Nights:
    return Nights(tmp_path, make_panel, database=False)


@pytest.fixture
def sql_nights(tmp_path: Path, make_panel: Callable[..., Panel]) -> Nights:
    return Nights(tmp_path, make_panel, database=True)


def codes(report: IngestReport) -> list[str]:
    return [finding.code for finding in report.findings]


def test_a_file_cut_to_its_newest_lines_stops_the_run(nights: Nights) -> None:
    version = nights(rows(range(300))).table_version
    for _ in range(2):
        with pytest.raises(AuditError, match=r"P203 .* offered 300 good rows .*, and now offers 5 since"):
            nights(rows(range(295, 300)))
    assert PriceTable(nights.storage, "tiny").version == version


def test_a_file_cut_to_its_oldest_lines_changes_nothing(nights: Nights) -> None:
    version = nights(rows(range(100))).table_version
    with pytest.raises(AuditError, match="P203"):
        nights(rows(range(40)))
    assert PriceTable(nights.storage, "tiny").version == version


def test_one_with_only_the_forming_bar_is_no_such_file(nights: Nights) -> None:
    nights(rows(range(100)), now=100)
    report = nights(rows([100]), now=100)
    assert report.pending == 1
    with pytest.raises(AuditError, match="P203"):
        nights(rows([100]), now=101)


def test_a_file_of_the_last_days_passes_every_night(nights: Nights) -> None:
    for end in (200, 201, 220, 390):
        assert codes(nights(rows(range(end - 200, end), "AB"))) == []


@pytest.mark.parametrize(
    "less",
    [rows(range(295, 300), TEN), rows(range(300), "ABCD"), rows(range(100), TEN)],
    ids=["days", "series", "newest days"],
)
def test_a_file_shortened_on_purpose_is_accepted_by_one_run(nights: Nights, less: list[Row]) -> None:
    nights(rows(range(300), TEN))
    with pytest.raises(AuditError, match="P203"):
        nights(less)
    nights(less, audit={"max_shrink": 1})
    assert nights(less).appended == 0


def test_what_is_lost_bit_by_bit_is_noticed_too(nights: Nights) -> None:
    nights(rows(range(300)))
    nights(rows(range(180)))
    with pytest.raises(AuditError, match="P203"):
        nights(rows(range(120)))


def test_live_series_that_vanish_are_a_finding(nights: Nights) -> None:
    nights(rows(range(100), TEN))
    (finding,) = nights(rows(range(101), TEN[4:])).findings
    assert (finding.code, finding.rows) == ("P204", 4)
    assert "4 live series: A, B, C, D;" in finding.detail


def test_a_series_that_ended_is_no_finding(nights: Nights) -> None:
    nights(rows(range(100), "AB") + rows(range(100, 150), "A"))
    assert codes(nights(rows(range(150), "A"))) == []


@pytest.mark.parametrize("spoilt", ["close", "date"])
def test_rows_that_are_all_refused_stop_the_run_and_are_in_the_quarantine(
    nights: Nights, spoilt: str
) -> None:
    good = rows(range(100))
    nights(good)
    bad = [
        (name, day, "10 apples") if spoilt == "close" else (name, f"x{day}", close)
        for name, day, close in good
    ]
    message = r"P203 .*; 100 rows were refused, 100 of them for P001 unreadable: see the quarantine"
    with pytest.raises(AuditError, match=message):
        nights(bad)
    assert Quarantine(nights.storage, "tiny").rows().num_rows == 100


@pytest.mark.parametrize("spoilt", ["close", "date"])
def test_so_they_do_where_the_last_offer_is_forgotten(nights: Nights, spoilt: str) -> None:
    good = rows(range(100))
    nights(good)
    (nights.folder / "store/sources/tiny.json").unlink()
    bad = [
        (name, day, "10 apples") if spoilt == "close" else (name, f"x{day}", close)
        for name, day, close in good
    ]
    with pytest.raises(
        AuditError, match=r"P203 source shrank: panel tiny has 100 stored bars .* now offers 0 good ones"
    ):
        nights(bad)


def test_another_panel_setting_is_no_reason_to_forget(nights: Nights) -> None:
    nights(rows(range(300)), audit={"stale_bars": 20})
    with pytest.raises(AuditError, match="last time"):
        nights(rows(range(295, 300)))


def test_an_empty_answer_stops_the_run(sql_nights: Nights) -> None:
    sql_nights(rows(range(300)))
    with pytest.raises(
        AuditError, match=r"panel tiny has 31 stored bars .* now offers 0 good ones, of 0 series instead of 1"
    ):
        sql_nights([])


def test_a_database_that_has_lost_the_overlap_stops_the_run(sql_nights: Nights) -> None:
    sql_nights(rows(range(300), TEN))
    with pytest.raises(
        AuditError,
        match=r"panel tiny has 310 stored bars .* since 2020-09-26, and its source now offers 10 good ones",
    ):
        sql_nights(rows([299, 300], TEN))


def test_a_database_emptied_on_purpose_is_accepted_by_one_run(sql_nights: Nights) -> None:
    sql_nights(rows(range(300), TEN))
    sql_nights(rows([299, 300], TEN), audit={"max_shrink": 1})
    assert sql_nights(rows([299, 300, 301], TEN)).appended == 10


def test_a_database_is_asked_for_all_once_its_rows_are_read_otherwise(sql_nights: Nights) -> None:
    given = [*rows(range(300)), ("A", "2019-12-31", -36.98)]
    assert codes(sql_nights(given)) == ["P006"]
    assert sql_nights(given).offered == 31
    report = sql_nights(given, forecast={"transform": "diff"})
    assert (report.offered, report.appended) == (301, 1)


def test_a_database_is_asked_for_the_past_of_series_that_are_wanted_now(sql_nights: Nights) -> None:
    sql_nights(rows(range(300), "AB"), source={"include": ["A"]})
    assert sql_nights(rows(range(300), "AB")).appended == 300


def test_a_database_with_a_forming_bar_is_asked_for_no_more_than_the_overlap(sql_nights: Nights) -> None:
    for offered in (301, 32):
        assert sql_nights(rows(range(301)), now=300).offered == offered


def test_a_memory_that_cannot_be_read_is_none(nights: Nights, caplog: pytest.LogCaptureFixture) -> None:
    nights(rows(range(100)))
    for text in ("{", '{"reader": 1}', "\udcff"):
        (nights.folder / "store/sources/tiny.json").write_bytes(text.encode(errors="surrogateescape"))
        assert nights(rows(range(100))).identical == 100
        assert "sources/tiny.json cannot be read" in caplog.text
        caplog.clear()
