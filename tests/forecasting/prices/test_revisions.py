"""Revised and re-adjusted pasts, ingest by ingest, as the file of a source changes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecasting.panel import Panel
from forecasting.prices.audit.splits import Split
from forecasting.prices.ingest import IngestReport, ingest
from forecasting.prices.revisions import find_changes
from forecasting.prices.schema import GOOD
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

NOW = np.datetime64("2020-06-01T12:00", "us")
HOUR = np.timedelta64(1, "h")
DAYS = np.arange("2020-03-01", "2020-03-31", dtype="datetime64[D]")  # 30 of them

Columns = dict[str, np.ndarray]


class Feed:
    """A panel whose file holds some of the days of March 2020 for some series."""

    def __init__(self, folder: Path, panel: Panel) -> None:
        self.file = folder / "prices.parquet"
        self.panel = panel
        self.storage = Storage(str(folder / "store"))

    def ingest(self, days: slice, **series: Columns) -> IngestReport:
        tables = [
            pa.table(
                {"unique_id": [name] * len(DAYS[days]), "ds": DAYS[days]}
                | {column: values[days] for column, values in columns.items()}
            )
            for name, columns in series.items()
        ]
        pq.write_table(pa.concat_tables(tables, promote_options="default"), self.file)
        return ingest(self.panel, self.storage, NOW)

    def closes(self, read: str = "newest", unique_id: str = "A") -> list[float]:
        rows = getattr(PriceTable(self.storage, "tiny"), read)().to_pylist()
        return [row["close"] for row in rows if row["unique_id"] == unique_id]


@pytest.fixture
def feed(tmp_path: Path, make_panel: Callable[..., Panel]) -> Feed:
    return Feed(tmp_path, make_panel({"uri": str(tmp_path / "prices.parquet")}, audit={"max_shrink": 1}))


PRICES = np.round(100 + 7 * np.sin(np.arange(30.0)), 2)
SOME_NAME = "O'Neil"


def test_a_split_reloads_the_past_that_the_file_no_longer_has(feed: Feed) -> None:
    feed.ingest(slice(0, 20), A={"close": PRICES}, B={"close": PRICES})
    report = feed.ingest(slice(10, 22), A={"close": PRICES / 2}, B={"close": PRICES})
    assert feed.closes() == list(PRICES[:22] / 2)
    assert feed.closes(unique_id="B") == list(PRICES[:22])
    assert (report.appended, report.revised, report.readjusted, report.identical) == (14, 10, 10, 10)
    (finding,) = report.findings
    assert (finding.code, finding.unique_id, finding.rows) == ("P109", "A", 20)
    assert (finding.severity, finding.action) == ("warning", "repair")
    assert finding.detail == (
        "the source multiplied its 10 bars up to 2020-03-20 by 0.5; "
        "the 10 other stored bars up to then were multiplied too"
    )


def test_once_reloaded_the_same_file_changes_nothing(feed: Feed) -> None:
    feed.ingest(slice(0, 20), A={"close": PRICES})
    first = feed.ingest(slice(10, 22), A={"close": PRICES / 2})
    again = feed.ingest(slice(10, 22), A={"close": PRICES / 2})
    assert (again.appended, again.readjusted, again.findings) == (0, 0, ())
    assert again.table_version == first.table_version


def test_the_reload_is_one_vintage(feed: Feed) -> None:
    before = feed.ingest(slice(0, 20), A={"close": PRICES})
    feed.ingest(slice(10, 22), A={"close": PRICES / 2})
    table = PriceTable(feed.storage, "tiny")
    assert len(set(table.newest()["known_at"].to_pylist())) == 1
    known_at = np.datetime64(before.known_at.removesuffix("Z")) if before.known_at else None
    assert table.as_known_at(known_at)["close"].to_pylist() == list(PRICES[:20])


def test_bars_after_the_split_that_came_before_the_adjustment_stay(feed: Feed) -> None:
    late = np.where(np.arange(30) < 18, PRICES, PRICES / 2)  # two bars on the new level, the past on the old
    feed.ingest(slice(0, 20), A={"close": late})
    report = feed.ingest(slice(10, 21), A={"close": PRICES / 2})
    assert feed.closes() == list(PRICES[:21] / 2)
    assert (report.revised, report.readjusted) == (8, 10)


def test_a_bar_that_the_file_skips_is_reloaded_too(feed: Feed) -> None:
    feed.ingest(slice(0, 20), A={"close": PRICES})
    feed.ingest(slice(0, 20, 2), A={"close": PRICES * 3})
    assert feed.closes()[1:19:2] == pytest.approx(list(PRICES[1:19:2] * 3))
    assert feed.closes()[19] == PRICES[19]  # after the last bar that is known to have changed


def test_prices_rounded_to_cents_are_one_ratio_still(feed: Feed) -> None:
    dividend = 0.9931
    feed.ingest(slice(0, 20), A={"close": PRICES})
    feed.ingest(slice(10, 20), A={"close": np.round(PRICES * dividend, 2)})
    assert feed.closes()[:10] == pytest.approx(list(PRICES[:10] * dividend), rel=1e-4)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(np.where(np.arange(30) % 3 == 0, PRICES * 2, PRICES), id="only some bars"),
        pytest.param(np.where(np.arange(30) < 13, PRICES * 2, PRICES), id="too few bars"),
    ],
)
def test_other_revisions_leave_the_older_bars_alone(
    tmp_path: Path, make_panel: Callable[..., Panel], changed: np.ndarray
) -> None:
    source = {"uri": str(tmp_path / "prices.parquet")}
    feed = Feed(tmp_path, make_panel(source, forecast={"transform": "diff"}, audit={"max_shrink": 1}))
    feed.ingest(slice(0, 20), A={"close": PRICES})
    report = feed.ingest(slice(10, 20), A={"close": changed})
    assert feed.closes() == [*PRICES[:10], *changed[10:20]]
    assert (report.readjusted, report.findings) == (0, ())


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(PRICES + 3, id="shifted"),
        pytest.param(np.roll(PRICES, 1), id="moved by a day"),
        pytest.param(PRICES + np.arange(30), id="by no one ratio"),
        pytest.param(-PRICES, id="another sign"),
        pytest.param(PRICES * 0, id="to zero"),
    ],
)
def test_a_past_that_changed_by_no_ratio_is_said_and_not_guessed_at(
    tmp_path: Path, make_panel: Callable[..., Panel], changed: np.ndarray
) -> None:
    source = {"uri": str(tmp_path / "prices.parquet")}
    feed = Feed(tmp_path, make_panel(source, forecast={"transform": "diff"}, audit={"max_shrink": 1}))
    feed.ingest(slice(0, 20), A={"close": PRICES})
    report = feed.ingest(slice(10, 20), A={"close": changed})
    assert feed.closes() == [*PRICES[:10], *changed[10:20]]
    (finding,) = report.findings
    assert (finding.code, finding.severity, finding.action, report.readjusted) == (
        "P109",
        "warning",
        "note",
        0,
    )
    assert finding.detail.startswith(
        "the source changed all its 10 bars up to 2020-03-20, but not by one ratio"
    )


def test_a_past_that_hardly_moved_may_as_well_be_shifted(feed: Feed) -> None:
    feed.ingest(slice(0, 20), A={"close": np.full(30, 7.0)})
    assert feed.ingest(slice(10, 20), A={"close": np.full(30, 3.5)}).readjusted == 0


def test_a_whole_past_that_was_shifted_is_only_revised(feed: Feed) -> None:
    feed.ingest(slice(0, 20), A={"close": PRICES})
    report = feed.ingest(slice(0, 20), A={"close": PRICES + 3})
    (finding,) = report.findings
    assert (report.revised, finding.code, finding.rows) == (20, "P109", 20)
    assert "changed all its 20 bars up to 2020-03-20, but not by one ratio" in finding.detail


def test_a_past_that_was_multiplied_to_more_decimals(feed: Feed) -> None:
    feed.ingest(slice(0, 20), A={"close": PRICES})
    assert feed.ingest(slice(10, 20), A={"close": np.round(PRICES / 3, 6)}).readjusted == 10


def test_a_correction_of_what_was_wrong_by_a_ratio_leaves_the_rest_alone(feed: Feed) -> None:
    wrong = np.where(np.arange(30) < 14, PRICES, PRICES * 100)
    feed.ingest(slice(0, 20), A={"close": wrong})
    report = feed.ingest(slice(14, 21), A={"close": PRICES})
    assert feed.closes() == list(PRICES[:21])
    assert (report.revised, report.readjusted) == (6, 0)
    (finding,) = report.findings
    assert (finding.code, finding.severity, finding.rows) == ("P109", "info", 6)
    assert finding.detail.endswith(
        "the 14 other stored bars up to then stay unchanged, because they join the new prices better that way"
    )


@pytest.mark.parametrize("start", range(5, 15))
def test_a_dividend_is_followed_whichever_way_the_price_moved_at_the_seam(feed: Feed, start: int) -> None:
    feed.ingest(slice(0, 20), A={"close": PRICES})
    report = feed.ingest(slice(start, 20), A={"close": np.round(PRICES * 0.9931, 4)})
    assert report.readjusted == start


def test_a_source_that_corrects_itself_may_be_left_alone(
    tmp_path: Path, make_panel: Callable[..., Panel]
) -> None:
    source = {"uri": str(tmp_path / "prices.parquet")}
    feed = Feed(tmp_path, make_panel(source, audit={"max_shrink": 1, "readjust": False}))
    feed.ingest(slice(0, 20), A={"close": PRICES})
    report = feed.ingest(slice(10, 20), A={"close": PRICES / 2})
    assert feed.closes() == [*PRICES[:10], *PRICES[10:20] / 2]
    (finding,) = report.findings
    assert (finding.code, finding.severity, finding.action) == ("P109", "info", "note")
    assert finding.detail.endswith(
        "10 other stored bars up to then stay unchanged, because [audit].readjust = false"
    )


def test_a_whole_past_that_was_multiplied_is_good_to_know(feed: Feed) -> None:
    feed.ingest(slice(0, 20), A={"close": PRICES})
    (finding,) = feed.ingest(slice(0, 20), A={"close": PRICES / 2}).findings
    assert (finding.code, finding.severity) == ("P109", "info")
    assert finding.detail == "the source multiplied its 20 bars up to 2020-03-20 by 0.5"


def test_negative_prices_and_zeros_are_multiplied_as_well(
    tmp_path: Path, make_panel: Callable[..., Panel]
) -> None:
    source = {"uri": str(tmp_path / "prices.parquet")}
    feed = Feed(tmp_path, make_panel(source, forecast={"transform": "diff"}, audit={"max_shrink": 1}))
    around_zero = np.arange(30.0) - 15
    feed.ingest(slice(0, 20), A={"close": around_zero})
    report = feed.ingest(slice(10, 20), A={"close": around_zero * 0.1})
    assert feed.closes() == pytest.approx(list(around_zero[:20] * 0.1))
    assert report.readjusted == 10


def test_all_prices_follow_and_volume_its_own_ratio(feed: Feed) -> None:
    bars = {"open": PRICES - 1, "high": PRICES + 2, "low": PRICES - 2, "close": PRICES}
    volume = 1000 + np.arange(30.0)
    feed.ingest(slice(0, 20), A={**bars, "volume": volume}, B={**bars, "volume": volume})
    halved = {name: values / 2 for name, values in bars.items()}
    feed.ingest(slice(10, 20), A={**halved, "volume": volume * 2}, B={**halved, "volume": volume})
    first, *_ = PriceTable(feed.storage, "tiny").newest().to_pylist()
    names = ("open", "high", "low", "close", "volume")
    assert tuple(first[name] for name in names) == (49.5, 51.0, 49.0, 50.0, 2000.0)
    rows = PriceTable(feed.storage, "tiny").newest().to_pylist()
    assert [row["volume"] for row in rows if row["unique_id"] == "B"] == list(volume[:20])


def test_an_id_may_hold_quotes(feed: Feed) -> None:
    feed.ingest(slice(0, 20), **{SOME_NAME: {"close": PRICES}})
    feed.ingest(slice(10, 20), **{SOME_NAME: {"close": PRICES * 10}})
    assert feed.closes(unique_id=SOME_NAME) == list(PRICES[:20] * 10)


@pytest.mark.parametrize("offered", [slice(10, 22), slice(0, 22)], ids=["an overlap", "all of it"])
def test_first_values_have_no_seam_at_a_split(feed: Feed, offered: slice) -> None:
    feed.ingest(slice(0, 20), A={"close": PRICES})
    feed.ingest(offered, A={"close": PRICES / 2})
    assert feed.closes("first_vintage") == list(PRICES[:22] / 2)


def test_a_bar_revised_after_the_reload_has_its_reloaded_value_first(feed: Feed) -> None:
    feed.ingest(slice(0, 20), A={"close": PRICES})
    feed.ingest(slice(0, 22), A={"close": PRICES / 2})
    revised = np.where(np.arange(30) == 3, 1.0, PRICES / 2)
    feed.ingest(slice(0, 22), A={"close": revised})
    assert feed.closes("first_vintage") == list(PRICES[:22] / 2)
    assert feed.closes()[3] == 1.0


def test_many_revised_bars_have_their_first_values_first(feed: Feed) -> None:
    feed.ingest(slice(0, 20), A={"close": PRICES})
    feed.ingest(slice(0, 20), A={"close": np.where(np.arange(30) > 3, 1.0, PRICES)})
    assert feed.closes("first_vintage") == list(PRICES[:20])


def test_first_values_have_no_seam_where_a_longer_past_came_after_a_split(feed: Feed) -> None:
    feed.ingest(slice(10, 20), A={"close": PRICES}, B={"close": PRICES})
    feed.ingest(slice(10, 21), A={"close": PRICES / 2}, B={"close": PRICES})
    feed.ingest(slice(0, 22), A={"close": PRICES / 2}, B={"close": PRICES})
    assert feed.closes("first_vintage") == list(PRICES[:22] / 2)


def test_bars_that_fill_a_hole_are_not_counted_against_an_earlier_reload(feed: Feed) -> None:
    feed.ingest(slice(0, 20, 2), A={"close": PRICES})
    feed.ingest(slice(0, 20, 2), A={"close": PRICES / 2})
    feed.ingest(slice(0, 20), A={"close": PRICES / 2})
    assert feed.closes("first_vintage") == list(PRICES[:20] / 2)


@pytest.mark.parametrize(
    ("changed", "splits"),
    [(PRICES / 2, [True]), (PRICES + 5.3, [True, False])],
    ids=["by the split's ratio", "by no single ratio"],
)
def test_only_a_change_by_the_ratio_of_a_split_counts_as_that_split(
    make_panel: Callable[..., Panel], changed: np.ndarray, splits: list[bool]
) -> None:
    def bars(closes: np.ndarray) -> pa.Table:
        columns = {"unique_id": ["A"] * len(DAYS), "ds": DAYS, "close": closes}
        absent = {name: pa.nulls(len(DAYS)) for name in GOOD.names if name not in columns}
        return pa.table({**columns, **absent}).select(GOOD.names).cast(GOOD)

    split = Split("A", np.datetime64("2020-04-01", "us"), 0.5)
    changes = find_changes(bars(PRICES), bars(changed), make_panel({"uri": "x.csv"}), [split])
    assert [change.split for change in changes.readjusted] == splits
