"""Panels written by hand for files of vendors: right bars, or one line that says what helps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecasting.calendar import bar_calendar
from forecasting.errors import AuditError, SourceError
from forecasting.panel import Panel
from forecasting.prices.ingest import IngestReport, ingest
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

NOW = np.datetime64("2026-11-28T12:00", "us")
Ingest = Callable[..., tuple[IngestReport, list[dict[str, Any]]]]


@pytest.fixture
def taken(tmp_path: Path, storage: Storage, make_panel: Callable[..., Panel]) -> Ingest:
    """Ingest a file's text (or a table) and return the report and the stored bars."""

    def of(
        data: str | pa.Table, bars: dict[str, Any] | None = None, **source: Any
    ) -> tuple[IngestReport, list[dict[str, Any]]]:
        path = tmp_path / ("x.csv" if isinstance(data, str) else "x.parquet")
        path.write_text(data) if isinstance(data, str) else pq.write_table(data, path)
        panel = make_panel({"uri": str(path), **source}, bars=bars or {})
        report = ingest(panel, storage, NOW)
        return report, PriceTable(storage, panel).newest().to_pylist()

    return of


def codes(report: IngestReport) -> list[str]:
    return [finding.code for finding in report.findings]


def test_an_adjusted_close_takes_no_unadjusted_price_beside_it(taken: Ingest) -> None:
    text = "ds,open,high,low,close,Adjusted_Close,Volume\n2026-01-02,99,101,98,100,50,7\n"
    report, (bar,) = taken(text, id_column="", columns={"close": "Adjusted_Close"})
    assert (bar["close"], bar["high"], bar["open"], bar["volume"], codes(report)) == (50, None, None, 7, [])


def test_zero_and_missing_values_beside_the_close_cost_no_bar(taken: Ingest) -> None:
    table = pa.table(
        {
            "unique_id": ["A", "A"],
            "ds": pa.array(["2026-01-02", "2026-01-03"]).cast(pa.date32()),
            "open": [0.0, float("nan")],
            "close": [10.0, 11.0],
            "volume": [float("nan"), float("nan")],
        }
    )
    report, bars = taken(table)
    assert [(bar["open"], bar["close"], bar["volume"]) for bar in bars] == [
        (None, 10, None),
        (None, 11, None),
    ]
    assert codes(report) == ["P006"]
    assert report.findings[0].detail.startswith("1 bar is kept without open")


def test_a_volume_that_cannot_be_read_is_dropped_with_its_place(taken: Ingest) -> None:
    report, (bar,) = taken("unique_id,ds,close,volume\nA,2026-01-02,10,lots\n")
    assert (bar["close"], bar["volume"], codes(report)) == (10, None, ["P018"])
    assert 'volume="lots" in ' in report.findings[0].detail
    assert "x.csv, line 2;" in report.findings[0].detail
    assert 'columns = { volume = "" }' in report.findings[0].detail


def test_a_column_can_be_left_out(taken: Ingest) -> None:
    report, (bar,) = taken("unique_id,ds,close,volume\nA,2026-01-02,10,lots\n", columns={"volume": ""})
    assert (bar["close"], bar["volume"], codes(report)) == (10, None, [])


def test_a_day_on_which_only_part_of_an_exchange_closed_is_a_bar(taken: Ingest) -> None:
    report, bars = taken("unique_id,ds,close\nA,2025-01-08,1\nA,2025-01-09,2\n", {"calendar": "CMES"})
    assert [bar["close"] for bar in bars] == [1, 2]
    assert codes(report) == []


def test_extra_days_are_bars_of_the_panel(taken: Ingest) -> None:
    text = "unique_id,ds,close\nA,2025-01-09,1\nA,2025-01-10,2\n"
    report, bars = taken(text, {"calendar": "XNYS", "extra_sessions": ["2025-01-09"]})
    assert len(bars) == 2
    assert codes(report) == []


def test_a_day_off_the_calendar_says_how_to_add_it(taken: Ingest) -> None:
    report, _ = taken("unique_id,ds,close\nA,2025-01-09,1\nA,2025-01-10,2\n", {"calendar": "XNYS"})
    assert codes(report) == ["P009"]
    assert "[bars].extra_sessions" in report.findings[0].detail


@pytest.mark.parametrize(
    ("change", "revised"),
    [(1e-7, 0), (9e-7, 0), (2e-6, 20), (1e-2, 20)],
    ids=["7th digit", "6th", "5th", "1%"],
)
def test_noise_of_a_vendor_is_no_revision(taken: Ingest, change: float, revised: int) -> None:
    days = np.arange("2026-01-01", "2026-01-21", dtype="datetime64[D]")

    def lines(factor: float) -> str:
        rows = [f"A,{day},{(100 + at) * (factor if at % 2 else 1 / factor)!r}" for at, day in enumerate(days)]
        return "\n".join(["unique_id,ds,close", *rows]) + "\n"

    taken(lines(1.0))
    report, _ = taken(lines(1.0 + change))
    assert (report.revised, report.identical) == (revised, 20 - revised)
    assert codes(report) == (["P109"] if revised else [])


@pytest.mark.parametrize(
    ("stamp", "ds"),
    [
        ("2026-01-09", "2026-01-05"),
        ("2026-01-05", "2026-01-05"),
        ("2026-01-11", "2026-01-05"),
        ("2026-01-23", "2026-01-20"),  # Monday the 19th was Martin Luther King Day
    ],
)
def test_a_weekly_bar_begins_with_the_first_session_of_its_week(taken: Ingest, stamp: str, ds: str) -> None:
    _, (bar,) = taken(f"unique_id,ds,close\nA,{stamp},1\n", {"freq": "1W", "calendar": "XNYS"})
    assert f"{bar['ds']:%Y-%m-%d}" == ds


@pytest.mark.parametrize("stamp", ["2026-01-01", "2026-01-15", "2026-01-31"])
def test_a_monthly_bar_begins_with_the_first_session_of_its_month(taken: Ingest, stamp: str) -> None:
    _, (bar,) = taken(f"unique_id,ds,close\nA,{stamp},1\n", {"freq": "1M", "calendar": "XNYS"})
    assert f"{bar['ds']:%Y-%m-%d}" == "2026-01-02"


def test_a_weekly_bar_is_pending_until_its_last_session_has_closed() -> None:
    calendar = bar_calendar("XNYS", "1W")
    friday = np.datetime64("2026-11-27T18:00", "us")  # 13:00 in New York, the day after Thanksgiving
    before = friday - np.timedelta64(1, "us")
    assert [str(calendar.newest_closed(when))[:10] for when in (before, friday)] == [
        "2026-11-16",
        "2026-11-23",
    ]


@pytest.mark.parametrize(
    ("lines", "source", "bars", "words"),
    [
        (["ds,close,close", "2026-01-02,1,2"], {"id_column": ""}, {}, "the column 'close' twice"),
        (
            ["ds;close", "2026-01-02;38.915", "2026-01-03;38.925"],
            {"id_column": ""},
            {},
            "38.915 may be 38915",
        ),
        (
            ["ds;close;x", "2026-01-02;1,55;2", "2026-01-03;1.55;2"],
            {"id_column": ""},
            {},
            "both a decimal point",
        ),
    ],
)
def test_what_nothing_decides_is_refused_with_the_key_that_does(
    taken: Ingest, lines: list[str], source: dict[str, Any], bars: dict[str, Any], words: str
) -> None:
    with pytest.raises(SourceError, match=words):
        taken("\n".join(lines) + "\n", bars, **source)


@pytest.mark.parametrize(
    ("times", "bars", "words"),
    [
        (["27.11.2026", "26.11.2026"], {}, r'set \[source\].time_format = "%d.%m.%Y", which fits all'),
        (["03/04/2026", "05/06/2026"], {}, r'only you know .* "%m/%d/%Y" or "%d/%m/%Y"'),
        (["2026.01.02", "2026.01.03"], {"freq": "1h"}, "has a date and no time of day"),
        (["10:00", "11:00"], {"freq": "1h"}, "has a time of day and no date"),
        (["soon", "later"], {}, r"set \[source\].time_format to how it is written"),
    ],
)
def test_where_no_time_can_be_read_the_format_that_fits_is_named(
    taken: Ingest, times: list[str], bars: dict[str, Any], words: str
) -> None:
    text = "\n".join(["unique_id,ds,close", *(f"A,{time},1" for time in times)]) + "\n"
    with pytest.raises(
        AuditError, match=rf'P207 all rows refused: .*time "{times[0]}".*x.csv, line 2.*{words}'
    ):
        taken(text, bars)


@pytest.mark.parametrize("price", ["1e31", "1e308", "-1e308", "nan", "inf"])
def test_a_price_of_no_possible_size_is_refused(taken: Ingest, price: str) -> None:
    report, bars = taken(f"unique_id,ds,close\nA,2026-01-02,{price}\nA,2026-01-03,1\n")
    assert len(bars) == 1
    assert codes(report) in (["P005"], ["P006"])


def test_an_id_that_ends_in_nul_is_the_id_before_it(taken: Ingest) -> None:
    _, bars = taken("unique_id,ds,close\nA\0\0,2026-01-02,1\nA,2026-01-03,2\n")
    assert [(bar["unique_id"], bar["close"]) for bar in bars] == [("A", 1), ("A", 2)]
