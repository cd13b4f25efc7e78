from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from forecasting.errors import AuditError
from forecasting.panel import Panel
from forecasting.prices.audit.rows import RowAudit
from forecasting.prices.audit.shrink import Extent, Loss, check_extent, check_overlap
from forecasting.prices.schema import REFUSED

FIRST = np.datetime64("2020-01-01", "us")


def rows(**series: range) -> pa.Table:
    """The days of each series, counted from the first."""
    names = [name for name, days in series.items() for _ in days]
    days = np.array([day for days in series.values() for day in days], dtype=np.int64)
    ds = FIRST + days * np.timedelta64(1, "D")
    return pa.table(
        {"unique_id": pa.array(names, pa.string()), "ds": pa.array(ds, pa.timestamp("us", "UTC"))}
    )


def audited(good: pa.Table, *refused: tuple[str, str]) -> RowAudit:
    """What the audit made of rows; `refused` are ids and codes."""
    spoiled = {field.name: pa.nulls(len(refused), field.type) for field in REFUSED}
    for at, name in enumerate(("unique_id", "code")):
        spoiled[name] = pa.array([row[at] for row in refused], pa.string())
    return RowAudit(good.num_rows + len(refused), good, pa.table(spoiled, schema=REFUSED), 0, 0, ())


Check = Callable[..., Any]


@pytest.fixture
def overlap(make_panel: Callable[..., Panel]) -> Check:
    def of(audit: RowAudit, stored: pa.Table, missing: int = 0, **settings: float) -> Loss:
        return check_overlap(audit, stored, missing, make_panel({"uri": "nowhere.csv"}, audit=settings))

    return of


@pytest.fixture
def extent(make_panel: Callable[..., Panel]) -> Check:
    def of(good: pa.Table, before: pa.Table, **settings: float) -> None:
        panel = make_panel({"uri": "nowhere.csv"}, audit=settings)
        check_extent(audited(good), Extent.of(before, panel), panel)

    return of


STORED = rows(A=range(100), B=range(100), C=range(100))


def test_a_source_that_still_has_all_lost_nothing(overlap: Check) -> None:
    assert overlap(audited(STORED), STORED) == Loss()


def test_a_series_that_vanished_is_named(overlap: Check) -> None:
    loss = overlap(audited(rows(A=range(100), B=range(100))), STORED)
    assert loss == Loss(100, ("C",))
    (finding,) = loss.findings
    assert (finding.code, finding.unique_id, finding.rows) == ("P204", "", 1)
    assert "no longer offers 1 live series: C;" in finding.detail


def test_of_many_that_vanished_some_are_named(overlap: Check) -> None:
    series = {f"S{number:02}": range(100) for number in range(40)}
    loss = overlap(audited(rows(**dict([*series.items()][:24]))), rows(**series))
    assert "16 live series: S24, S25, S26, S27, S28, S29, S30, S31, S32, S33, ...;" in loss.findings[0].detail


def test_a_series_whose_rows_are_refused_has_not_vanished(overlap: Check) -> None:
    good = rows(A=range(100), B=range(100))
    assert overlap(audited(good, ("C", "P001")), STORED).series == ()


@pytest.mark.parametrize(
    "good",
    [rows(A=range(101)), rows(A=range(40), B=range(40), C=range(40)), rows()],
    ids=["two series less", "cut short", "nothing"],
)
def test_a_source_that_lost_most_of_it_stops_the_run(overlap: Check, good: pa.Table) -> None:
    with pytest.raises(AuditError, match=r"^P203 source shrank: .*the last forecast stands"):
        overlap(audited(good), STORED)


def test_bars_older_than_the_stored_ones_do_not_stand_for_them(overlap: Check) -> None:
    with pytest.raises(AuditError, match="now offers 0 good ones"):
        overlap(audited(rows(A=range(-400, 0))), STORED)


def test_the_reason_has_the_numbers(overlap: Check) -> None:
    with pytest.raises(AuditError) as raised:
        overlap(audited(rows(A=range(101))), STORED)
    assert "panel tiny has 300 stored bars of live series since 2020-01-01" in str(raised.value)
    assert "now offers 100 good ones, of 1 series instead of 3;" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_reason_says_what_was_refused_and_mostly_why(overlap: Check) -> None:
    refused = [("B", "P001"), ("B", "P006"), ("C", "P001")]
    with pytest.raises(AuditError, match=r"; 3 rows were refused, 2 of them for P001 unreadable: see the"):
        overlap(audited(rows(A=range(101)), *refused), STORED)


def test_series_that_ended_are_not_missed(overlap: Check) -> None:
    stored = rows(A=range(200), B=range(189), C=range(100))
    assert overlap(audited(rows(A=range(200))), stored) == Loss()


def test_the_first_ingest_has_nothing_to_compare(overlap: Check) -> None:
    assert overlap(audited(rows(A=range(3))), rows()) == Loss()


def test_of_few_bars_nothing_is_said(overlap: Check) -> None:
    overlap(audited(rows(A=range(1))), rows(A=range(20)))
    overlap(audited(rows()), rows(A=range(20)))


def test_a_query_that_finds_none_of_few_bars_stops_the_run(make_panel: Callable[..., Panel]) -> None:
    panel = make_panel({"uri": "sqlite:///x.db", "query": "select * from bars where ds >= :since"})
    check_overlap(audited(rows(A=range(1))), rows(A=range(20)), 0, panel)
    with pytest.raises(AuditError, match="P203"):
        check_overlap(audited(rows()), rows(A=range(20)), 0, panel)


def test_a_panel_can_bear_more_or_less(overlap: Check) -> None:
    overlap(audited(rows(A=range(100))), STORED, max_shrink=1)
    with pytest.raises(AuditError):
        overlap(audited(rows(A=range(100), B=range(100))), STORED, max_shrink=0.2)


def test_what_was_missing_with_leave_is_not_asked_for_again(overlap: Check) -> None:
    overlap(audited(rows(A=range(100))), STORED, missing=200)
    with pytest.raises(AuditError):
        overlap(audited(rows(A=range(20))), STORED, missing=100)


def test_a_source_that_lost_its_past_stops_the_run(extent: Check) -> None:
    with pytest.raises(AuditError) as raised:
        extent(rows(A=range(95, 100), B=range(95, 100), C=range(95, 100)), STORED)
    assert "offered 300 good rows since 2020-01-01 last time" in str(raised.value)
    assert "now offers 15 since 2020-04-05;" in str(raised.value)


def test_nothing_good_is_less_than_before(extent: Check) -> None:
    with pytest.raises(AuditError, match="now offers 0;"):
        extent(rows(), STORED)


@pytest.mark.parametrize(
    ("good", "before", "settings"),
    [
        (rows(A=range(50, 250)), rows(A=range(200)), {}),
        (rows(A=range(1)), rows(A=range(50)), {}),
        (rows(), STORED, {"max_shrink": 1}),
    ],
    ids=["the last 200 days", "few rows", "said to be well"],
)
def test_a_source_that_passes(
    extent: Check, good: pa.Table, before: pa.Table, settings: dict[str, float]
) -> None:
    extent(good, before, **settings)
