import json
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import pytest
import stamina
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import AuditError, SourceError, StoreError
from forecasting.panel import Panel
from forecasting.prices.ingest import IngestReport, ingest
from forecasting.prices.quarantine import Quarantine
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

NOW = np.datetime64("2020-03-10T12:00", "us")
HOUR = np.timedelta64(1, "h")
OCTOBER_END = np.datetime64("2026-10-31", "us")

Row = tuple[str, str, str]  # id, date, close: as in the file
Counts = tuple[int, int, int, int, int, int]


def write_rows(folder: Path, rows: list[Row]) -> None:
    (folder / "prices.csv").write_text("unique_id,ds,close\n" + "".join(",".join(row) + "\n" for row in rows))


def counts(report: IngestReport) -> Counts:
    return (
        report.appended,
        report.revised,
        report.identical,
        report.repaired,
        report.quarantined,
        report.pending,
    )


class Inbox:
    """A panel whose file is written anew before each ingest."""

    def __init__(self, folder: Path, make_panel: Callable[..., Panel]) -> None:
        self.folder = folder
        self.panel = make_panel({"uri": str(folder / "prices.csv")})
        self.storage = Storage(str(folder / "store"))

    def ingest(self, *rows: Row, now: np.datetime64 = NOW) -> IngestReport:
        write_rows(self.folder, list(rows))
        return ingest(self.panel, self.storage, now)

    def newest(self) -> dict[tuple[str, str], float]:
        rows = PriceTable(self.storage, "tiny").newest()
        return {(row["unique_id"], row["ds"].date().isoformat()): row["close"] for row in rows.to_pylist()}


@pytest.fixture
def inbox(tmp_path: Path, make_panel: Callable[..., Panel]) -> Inbox:
    return Inbox(tmp_path, make_panel)


MONDAY = ("A", "2020-03-02", "1.5")
TUESDAY = ("A", "2020-03-03", "2.5")


def test_new_rows_are_appended(inbox: Inbox) -> None:
    report = inbox.ingest(MONDAY, TUESDAY)
    assert counts(report) == (2, 0, 0, 0, 0, 0)
    assert inbox.newest() == {("A", "2020-03-02"): 1.5, ("A", "2020-03-03"): 2.5}
    assert report.known_at == "2020-03-10T12:00:00.000000Z"
    assert report.newest_ds == "2020-03-03T00:00:00.000000Z"


def test_ingesting_again_changes_nothing(inbox: Inbox) -> None:
    first = inbox.ingest(MONDAY, TUESDAY, ("A", "2020-03-04", "x"))
    second = inbox.ingest(MONDAY, TUESDAY, ("A", "2020-03-04", "x"), now=NOW + HOUR)
    assert counts(second) == (0, 0, 2, 0, 1, 0)
    assert (second.table_version, second.known_at) == (first.table_version, first.known_at)
    assert (first.newly_quarantined, second.newly_quarantined) == (1, 0)


def test_another_value_is_a_revision_and_the_old_one_stays_known(inbox: Inbox) -> None:
    inbox.ingest(MONDAY, TUESDAY)
    report = inbox.ingest(MONDAY, ("A", "2020-03-03", "9.5"), now=NOW + HOUR)
    assert counts(report) == (1, 1, 1, 0, 0, 0)
    assert inbox.newest()["A", "2020-03-03"] == 9.5
    earlier = PriceTable(inbox.storage, "tiny").as_known_at(NOW)
    assert earlier["close"].to_pylist() == [1.5, 2.5]


def test_a_revision_back_to_an_older_value_is_one_too(inbox: Inbox) -> None:
    inbox.ingest(MONDAY)
    inbox.ingest(("A", "2020-03-02", "9.5"))
    assert counts(inbox.ingest(MONDAY))[:2] == (1, 1)
    assert inbox.newest() == {("A", "2020-03-02"): 1.5}


def test_rows_that_are_gone_from_the_file_stay_in_the_prices(inbox: Inbox) -> None:
    inbox.ingest(MONDAY, TUESDAY)
    inbox.ingest(TUESDAY)
    assert ("A", "2020-03-02") in inbox.newest()


def test_refused_rows_go_to_the_quarantine(inbox: Inbox) -> None:
    report = inbox.ingest(
        MONDAY, ("A", "2020-03-03", "-1"), ("A", "2020-03-04", "1"), ("A", "2020-03-04", "2")
    )
    assert counts(report) == (1, 0, 0, 0, 3, 0)
    assert sorted(Quarantine(inbox.storage, "tiny").rows()["code"].to_pylist()) == ["P004", "P004", "P006"]


def test_a_conflict_leaves_the_stored_value_as_it_is(inbox: Inbox) -> None:
    inbox.ingest(MONDAY)
    inbox.ingest(MONDAY, ("A", "2020-03-02", "7.0"))
    assert inbox.newest() == {("A", "2020-03-02"): 1.5}


def test_the_forming_bar_is_taken_once_it_has_closed(inbox: Inbox) -> None:
    assert counts(inbox.ingest(("A", "2020-03-10", "1.5"))) == (0, 0, 0, 0, 0, 1)
    assert counts(inbox.ingest(("A", "2020-03-10", "1.7"), now=NOW + 12 * HOUR)) == (1, 0, 0, 0, 0, 0)
    assert Quarantine(inbox.storage, "tiny").rows().num_rows == 0


def test_when_nothing_is_good_the_ingest_says_why_and_stores_no_price(inbox: Inbox) -> None:
    cause = r"P207 .* all 1 rows .* P001 unreadable: close \"x\" \(in .*prices.csv, line 2\) is not a number"
    with pytest.raises(AuditError, match=cause):
        inbox.ingest(("A", "2020-03-02", "x"))
    assert Quarantine(inbox.storage, "tiny").rows().num_rows == 1
    assert inbox.newest() == {}


def test_an_unreadable_source_changes_nothing(inbox: Inbox) -> None:
    with pytest.raises(SourceError, match="has no rows"):
        inbox.ingest()
    with pytest.raises(StoreError):
        PriceTable(inbox.storage, "tiny")


def test_a_report_is_a_record(inbox: Inbox) -> None:
    record = json.loads(json.dumps(inbox.ingest(MONDAY, MONDAY).to_record()))
    assert (record["panel"], record["offered"], record["repaired"]) == ("tiny", 2, 1)
    assert record["findings"][0]["code"] == "P003"


def test_ingests_at_the_same_time_append_each_row_once(inbox: Inbox) -> None:
    rows = [("A", f"2020-03-0{day}", str(day)) for day in range(1, 9)]
    write_rows(inbox.folder, rows)
    reports: list[IngestReport] = []
    threads = [
        threading.Thread(target=lambda: reports.append(ingest(inbox.panel, inbox.storage, NOW)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.appended for report in reports) == [0, 0, 0, 8]
    assert deltalake.DeltaTable(inbox.storage.table_uri("prices/tiny")).count() == 8


def test_a_table_that_can_never_be_written_is_given_up(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise deltalake.exceptions.CommitFailedError("busy")

    monkeypatch.setattr(PriceTable, "append", refuse)
    with (
        stamina.set_testing(True, attempts=10, cap=True),
        pytest.raises(StoreError, match=r"cannot write prices of panel tiny .*\(busy\)"),
    ):
        inbox.ingest(MONDAY)


def test_an_ingest_that_had_to_wait_its_turn_counts_what_it_refused(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, tries = PriceTable.append, iter([0, 1, 2])

    def busy_at_first(*given: Any) -> np.datetime64:
        if next(tries) < 2:
            raise deltalake.exceptions.CommitFailedError("busy")
        return append(*given)

    monkeypatch.setattr(PriceTable, "append", busy_at_first)
    with stamina.set_testing(True, attempts=10, cap=True):
        report = inbox.ingest(MONDAY, ("A", "2020-03-03", "x"))
    assert (report.appended, report.newly_quarantined) == (1, 1)


ROWS = st.lists(
    st.tuples(
        st.sampled_from("AB"),
        st.sampled_from(["2020-03-02", "2020-03-03", "2019-03-03", "2020-03-10", "2021-01-01", "soon"]),
        st.sampled_from(["1.0", "2.0", "-1", "nan", "", "x"]),
    ),
    min_size=1,
    max_size=8,
)
GOOD_DATES = {"2020-03-02", "2020-03-03", "2019-03-03"}
GOOD_CLOSES = {"1.0", "2.0"}


def slowly(batches: list[list[Row]]) -> dict[tuple[str, str], float]:
    """The expected newest values: each batch overrides earlier ones, except for bars it conflicts on."""
    newest: dict[tuple[str, str], float] = {}
    for batch in batches:
        said: dict[tuple[str, str], set[float]] = defaultdict(set)
        for name, day, close in batch:
            if day in GOOD_DATES and close in GOOD_CLOSES:
                said[name, day].add(float(close))
        newest |= {bar: values.pop() for bar, values in said.items() if len(values) == 1}
    return newest


def _all_pending(batch: list[Row]) -> bool:
    """Whether every row is of the bar that is forming, which is neither good nor refused."""
    return all(day == "2020-03-10" for _, day, close in batch if close)


@settings(max_examples=25)
@given(batches=st.lists(ROWS, min_size=1, max_size=4))
def test_any_rows_in_any_batches_leave_the_obvious_newest_values(
    batches: list[list[Row]], make_panel: Callable[..., Panel]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        inbox = Inbox(Path(folder), make_panel)
        seen: list[tuple[np.datetime64, Any]] = []
        for count, batch in enumerate(batches, start=1):
            if not slowly(batches[:count]) and any(row[2] for row in batch) and not _all_pending(batch):
                with pytest.raises(AuditError, match="P207 all rows refused"):
                    inbox.ingest(*batch)
                continue
            report = inbox.ingest(*batch)
            offered = len([row for row in batch if row[2]])
            done = (report.appended, report.identical, report.repaired, report.quarantined, report.pending)
            assert sum(done) == report.offered == offered
            again = inbox.ingest(*batch)
            assert (again.appended, again.newly_quarantined) == (0, 0)
            table = PriceTable(inbox.storage, "tiny")
            if table.known_at is not None:
                seen.append((table.known_at, table.newest()))
        assert inbox.newest() == slowly(batches)
        for known_at, then in seen:
            assert table.as_known_at(known_at) == then


@pytest.fixture(scope="module")
def ecb_storage(ecb_panel: Panel, tmp_path_factory: pytest.TempPathFactory) -> Storage:
    storage = Storage(str(tmp_path_factory.mktemp("ecb")))
    ingest(ecb_panel, storage, OCTOBER_END)
    return storage


def test_the_file_of_the_ecb_is_taken_whole_and_once(ecb_panel: Panel, ecb_storage: Storage) -> None:
    report = ingest(ecb_panel, ecb_storage, OCTOBER_END + HOUR)
    assert counts(report) == (0, 0, 221_702, 0, 0, 0)
    assert report.newest_ds == "2026-10-30T00:00:00.000000Z"
    # The Swiss franc the day before and the day on which its floor of 1.20 per euro was given up.
    january = PriceTable(ecb_storage, "ecb_fx").newest(until=np.datetime64("2015-01-15"))
    franc = january.filter(np.array(january["unique_id"].to_pylist()) == "EURCHF")
    assert franc["close"].to_pylist()[-2:] == [1.201, 1.028]
