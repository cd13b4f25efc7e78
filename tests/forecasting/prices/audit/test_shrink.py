from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from forecasting.errors import AuditError
from forecasting.panel import Panel
from forecasting.prices.audit.shrink import check_not_shrunk
from forecasting.prices.ingest import IngestReport, ingest
from forecasting.storage import Storage

FIRST = np.datetime64("2020-01-01", "us")


def rows(**series: range) -> pa.Table:
    """The days of each series, counted from the first."""
    names = [name for name, days in series.items() for _ in days]
    days = np.array([day for days in series.values() for day in days], dtype=np.int64)
    ds = FIRST + days * np.timedelta64(1, "D")
    return pa.table(
        {"unique_id": pa.array(names, pa.string()), "ds": pa.array(ds, pa.timestamp("us", "UTC"))}
    )


@pytest.fixture
def check(make_panel: Callable[..., Panel]) -> Callable[..., None]:
    def of(good: pa.Table, stored: pa.Table, **audit: float) -> None:
        panel = make_panel({"uri": "nowhere.csv"}, audit=audit)
        check_not_shrunk(good, stored, panel, panel.calendar)

    return of


STORED = rows(A=range(100), B=range(100), C=range(100))


@pytest.mark.parametrize(
    "good",
    [
        STORED,
        rows(A=range(100), B=range(100)),
        rows(A=range(50, 101), B=range(50, 101), C=range(50, 101)),
        rows(A=range(95, 101), B=range(95, 101), C=range(95, 101)),
        rows(A=range(100, 101)),
    ],
    ids=[
        "the same",
        "one series less",
        "only the later half",
        "what is new and an overlap",
        "only what is new",
    ],
)
def test_a_source_that_offers_most_of_it_passes(check: Callable[..., None], good: pa.Table) -> None:
    check(good, STORED)


@pytest.mark.parametrize(
    "good",
    [rows(A=range(101)), rows(A=range(40), B=range(40), C=range(40)), rows()],
    ids=["two series less", "cut short", "all refused"],
)
def test_a_source_that_lost_most_of_it_stops_the_run(check: Callable[..., None], good: pa.Table) -> None:
    with pytest.raises(AuditError, match=r"^P203 source shrank: .*the last forecast stands"):
        check(good, STORED)


def test_the_reason_has_the_numbers(check: Callable[..., None]) -> None:
    with pytest.raises(AuditError) as raised:
        check(rows(A=range(101)), STORED)
    assert "of 300 bars that panel tiny has of live series since 2020-01-01" in str(raised.value)
    assert "now offers 100, of 1 series instead of 3" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_series_that_ended_are_not_missed(check: Callable[..., None]) -> None:
    check(rows(A=range(200)), rows(A=range(200), B=range(189), C=range(100)))


def test_the_first_ingest_has_nothing_to_compare(check: Callable[..., None]) -> None:
    check(rows(A=range(3)), rows())


def test_a_panel_can_bear_more_or_less(check: Callable[..., None]) -> None:
    check(rows(A=range(100)), STORED, max_shrink=1)
    with pytest.raises(AuditError):
        check(rows(A=range(100), B=range(100)), STORED, max_shrink=0.2)


def test_a_file_cut_short_changes_nothing_and_one_with_only_the_forming_bar_is_no_such_file(
    make_panel: Callable[..., Panel], storage: Storage, tmp_path: Path
) -> None:
    panel = make_panel({"uri": str(tmp_path / "prices.csv")})

    def night(*days: int) -> IngestReport:
        lines = [f"A,{FIRST + day * np.timedelta64(1, 'D')},{10 + day % 3}" for day in days]
        (tmp_path / "prices.csv").write_text("\n".join(["unique_id,ds,close", *lines]) + "\n")
        return ingest(panel, storage, FIRST + np.timedelta64(100, "D"))

    version = night(*range(100)).table_version
    with pytest.raises(AuditError, match="P203"):
        night(*range(40))
    report = night(100)
    assert (report.pending, report.table_version) == (1, version)
