"""Adjusted splits stay adjusted over several ingests, whatever part of the past the source still offers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from forecasting.panel import Panel
from forecasting.prices.audit.splits import Split
from forecasting.prices.ingest import IngestReport, ingest
from forecasting.prices.split_table import SplitTable
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

NOW = np.datetime64("2021-06-01T12:00", "us")
DAYS = np.datetime64("2020-01-01", "us") + np.arange(240) * np.timedelta64(1, "D")
SPLIT = 120
ADJUSTED = np.round(50 * np.exp(np.random.default_rng(1).normal(0, 0.01, 240).cumsum()), 2)
RAW = np.where(np.arange(240) < SPLIT, 2 * ADJUSTED, ADJUSTED)


class Feed:
    """A panel with back-adjustment, and its file, of which every ingest reads a different part."""

    def __init__(self, folder: Path, make_panel: Callable[..., Panel]) -> None:
        self.file = folder / "prices.csv"
        self.storage = Storage(str(folder / "store"))
        self.make_panel = make_panel

    def ingest(
        self, *bars: slice, prices: np.ndarray = RAW, adjust: bool = True, readjust: bool = True
    ) -> IngestReport:
        at = np.concatenate([np.arange(240)[each] for each in bars])
        rows = [f"A,{day.astype('datetime64[D]')},{y}" for day, y in zip(DAYS[at], prices[at], strict=True)]
        self.file.write_text("\n".join(["unique_id,ds,close", *rows]) + "\n")
        audit = {"adjust_splits": adjust, "readjust": readjust, "max_shrink": 1}
        return ingest(self.make_panel({"uri": str(self.file)}, audit=audit), self.storage, NOW)

    def closes(self) -> list[float]:
        closes: list[float] = PriceTable(self.storage, "tiny").newest()["close"].to_pylist()
        return closes


@pytest.fixture
def feed(tmp_path: Path, make_panel: Callable[..., Panel]) -> Feed:
    return Feed(tmp_path, make_panel)


def codes(report: IngestReport) -> list[str]:
    return [finding.code for finding in report.findings]


@pytest.mark.parametrize(
    "later", [slice(90, 200), slice(115, 200), slice(119, 200), slice(0, 100), slice(130, 200)]
)
def test_a_later_offer_of_any_part_changes_nothing(feed: Feed, later: slice) -> None:
    feed.ingest(slice(0, 200))
    report = feed.ingest(later)
    assert (report.appended, report.readjusted) == (0, 0)
    assert set(codes(report)) <= {"P108"}
    assert feed.closes() == list(ADJUSTED[:200])


def test_a_sliding_window_keeps_the_split_adjusted(feed: Feed) -> None:
    for end in range(SPLIT - 10, 240, 7):
        report = feed.ingest(slice(end - 90, end))
        assert "P109" not in codes(report)
    assert feed.closes() == list(ADJUSTED[20:end])


def test_bars_that_are_not_offered_follow_a_new_split(feed: Feed) -> None:
    feed.ingest(slice(0, SPLIT))
    report = feed.ingest(slice(50, 130))
    assert (codes(report), report.readjusted) == (["P108"], 50)
    assert feed.closes() == list(ADJUSTED[:130])


def test_they_follow_where_a_bar_was_revised_the_same_night(feed: Feed) -> None:
    feed.ingest(slice(0, SPLIT))
    revised = np.where(np.arange(240) == 80, RAW + 1, RAW)
    report = feed.ingest(slice(50, 130), prices=revised)
    assert (codes(report), report.readjusted) == (["P108", "P109"], 50)
    assert feed.closes()[:80] == list(ADJUSTED[:80])


def test_they_follow_where_the_offer_overlaps_with_nothing(feed: Feed) -> None:
    feed.ingest(slice(0, 50))
    report = feed.ingest(slice(50, 130))
    assert (codes(report), report.readjusted) == (["P108"], 50)
    assert feed.closes() == list(ADJUSTED[:130])


def test_a_source_that_comes_to_adjust_itself_is_not_adjusted_twice(feed: Feed) -> None:
    feed.ingest(slice(0, 200))
    for offered in (slice(0, 205), slice(110, 206), slice(0, 100)):
        assert codes(feed.ingest(offered, prices=ADJUSTED)) == []
    assert feed.closes() == list(ADJUSTED[:206])


def test_an_older_past_that_comes_later_is_adjusted_like_the_rest(feed: Feed) -> None:
    feed.ingest(slice(50, 200))
    feed.ingest(slice(0, 50))
    assert feed.closes() == list(ADJUSTED[:200])


def test_switched_off_again_the_raw_past_returns_as_the_sources(feed: Feed) -> None:
    feed.ingest(slice(0, 200))
    report = feed.ingest(slice(50, 200), adjust=False)
    assert (codes(report), report.readjusted) == (["P109"], 50)
    assert feed.closes() == list(RAW[:200])
    assert codes(feed.ingest(slice(0, 200))) == ["P108"]
    assert feed.closes() == list(ADJUSTED[:200])


def test_killed_before_the_prices_are_written_the_next_ingest_applies_the_split(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.ingest(slice(0, SPLIT))
    with monkeypatch.context() as patch:
        patch.setattr(PriceTable, "append", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            feed.ingest(slice(50, 130))
    feed.ingest(slice(70, 130))  # too few bars to find it again
    assert feed.closes() == list(ADJUSTED[:130])


def test_the_adjustment_does_not_wait_for_the_sources_ones_to_be_followed(feed: Feed) -> None:
    feed.ingest(slice(0, SPLIT))
    assert feed.ingest(slice(50, 130), readjust=False).readjusted == 50


def test_a_split_is_written_once(feed: Feed) -> None:
    for _ in range(2):
        feed.ingest(slice(0, 200))
    assert SplitTable(feed.storage, "tiny").splits() == (Split("A", DAYS[SPLIT], 0.5),)


def test_an_adjusted_past_stays_however_far_the_price_went_in_a_hole_after_it(feed: Feed) -> None:
    fell = np.where(np.arange(240) < 20, 2 * ADJUSTED, ADJUSTED)  # to a half
    raw = np.where(np.arange(240) < SPLIT, 2 * fell, fell)
    feed.ingest(slice(0, 20), slice(40, 200), prices=raw)
    before = feed.closes()
    revised = np.where(np.arange(240) == 100, raw + 1, raw)
    report = feed.ingest(slice(40, 201), prices=revised)
    assert (report.revised, report.readjusted) == (1, 0)
    assert feed.closes()[:20] == before[:20]
