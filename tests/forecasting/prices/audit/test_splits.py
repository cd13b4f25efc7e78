"""Back-adjustment of Apple's real split on 2005-02-28, and from a file into the price table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from forecasting.panel import Panel
from forecasting.prices.audit.splits import Adjusted, Split, adjust_splits
from forecasting.prices.ingest import ingest
from forecasting.prices.schema import GOOD
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

# Closes and volumes (millions) of Apple around the day, behind 60 quiet ones.
CLOSES = [87.81, 86.81, 85.29, 88.23, 88.93, 88.99, 44.86, 44.5, 44.12, 41.79, 42.81, 42.75]
VOLUMES = [27.1, 20.8, 21.8, 24.0, 27.1, 16.3, 11.6, 16.7, 16.4, 50.4, 27.0, 16.1]
QUIET = 87.0 * np.exp(0.006 * np.where(np.arange(60) % 2, 1, -1))
SPLIT = 66
FIRST = np.datetime64("2020-01-01", "us")
NOW = np.datetime64("2020-06-01T12:00", "us")
DAY = np.timedelta64(1, "D")
SPLIT_2005 = Split("AAPL", FIRST + SPLIT * DAY, 0.5)


def apple(name: str = "AAPL", scale: float = 1.0) -> pa.Table:
    close = scale * np.concatenate([QUIET, CLOSES])
    columns = {
        "unique_id": [name] * len(close),
        "ds": pa.array(FIRST + np.arange(len(close)) * DAY, pa.timestamp("us", "UTC")),
        "open": pa.nulls(len(close), pa.float64()),
        "high": close + 1,
        "low": close - 1,
        "close": close,
        "volume": np.concatenate([np.full(60, 20.0), VOLUMES]),
    }
    return pa.table(columns, schema=GOOD)


def two_splits() -> tuple[pa.Table, list[Split]]:
    twice = np.concatenate([QUIET * 2, QUIET, QUIET / 2])
    table = apple().take(pa.array(np.zeros(180, dtype=np.int64)))
    ds = pa.array(FIRST + np.arange(180) * DAY, pa.timestamp("us", "UTC"))
    table = table.set_column(1, "ds", ds).set_column(5, "close", pa.array(twice))
    return table, [Split("AAPL", FIRST + bar * DAY, 0.5) for bar in (60, 120)]


def adjusted_for(offered: pa.Table, panel: Panel, *known: Split, stored: pa.Table | None = None) -> Adjusted:
    return adjust_splits(offered, GOOD.empty_table() if stored is None else stored, known, panel)


@pytest.fixture
def panel(make_panel: Callable[..., Panel], tmp_path: Path) -> Panel:
    return make_panel({"uri": str(tmp_path / "prices.csv")}, audit={"adjust_splits": True})


def test_the_past_is_brought_to_the_new_level(panel: Panel) -> None:
    result = adjusted_for(apple(), panel)
    adjusted, (finding,) = result.good, result.findings
    assert result.found == result.applied == (SPLIT_2005,)
    before = apple()
    for name in ("high", "low", "close"):
        expected = before[name].to_numpy() * np.where(np.arange(72) < SPLIT, 0.5, 1)
        np.testing.assert_array_equal(adjusted[name].to_numpy(), expected)
    assert adjusted["volume"].to_pylist()[SPLIT - 1 : SPLIT + 1] == [32.6, 11.6]
    assert adjusted["open"].null_count == 72
    assert (finding.code, finding.unique_id, finding.rows) == ("P108", "AAPL", SPLIT)
    assert finding.detail == "2:1 on 2020-03-07: the 66 bars before it are multiplied by 0.5"


def test_it_is_adjusted_once(panel: Panel) -> None:
    once = adjusted_for(apple(), panel).good
    assert adjusted_for(once, panel) == Adjusted(once, (), (), (), ())


def test_a_known_split_is_applied_where_the_offer_shows_it(panel: Panel) -> None:
    late = apple().slice(SPLIT - 2)
    result = adjusted_for(late, panel, SPLIT_2005)
    assert result.good["close"].to_pylist()[:3] == [88.93 / 2, 88.99 / 2, 44.86]
    assert (result.applied, result.found) == ((SPLIT_2005,), ())
    assert adjusted_for(result.good, panel, SPLIT_2005).applied == ()


def test_a_split_is_due_where_the_store_has_the_old_level_or_no_bar_to_tell(panel: Panel) -> None:
    adjusted = adjusted_for(apple(), panel).good
    assert adjusted_for(apple(), panel, SPLIT_2005, stored=apple()).due == (SPLIT_2005,)
    assert adjusted_for(apple(), panel, SPLIT_2005, stored=apple().slice(SPLIT)).due == (SPLIT_2005,)
    assert adjusted_for(apple(), panel, SPLIT_2005, stored=adjusted).due == ()


def test_two_splits_found_at_once_are_both_due(panel: Panel) -> None:
    twice, splits = two_splits()
    assert adjusted_for(twice, panel, stored=twice).due == tuple(reversed(splits))


def test_a_known_split_that_is_found_again_is_not_new(panel: Panel) -> None:
    result = adjusted_for(apple(), panel, SPLIT_2005)
    assert (result.applied, result.found) == ((SPLIT_2005,), ())


@pytest.mark.parametrize("kept", [slice(0, SPLIT), slice(SPLIT - 20, SPLIT - 10)])
def test_without_bars_after_the_split_the_store_tells_what_the_offer_is(panel: Panel, kept: slice) -> None:
    stored = adjusted_for(apple(), panel).good
    raw = apple().slice(kept.start, kept.stop - kept.start)
    mine = stored.slice(kept.start, kept.stop - kept.start)
    assert adjusted_for(raw, panel, SPLIT_2005, stored=stored).good == mine
    assert adjusted_for(mine, panel, SPLIT_2005, stored=stored).good == mine


def test_a_bar_that_the_store_lacks_is_told_by_the_next_one_that_it_has(panel: Panel) -> None:
    stored = adjusted_for(apple(), panel).good
    raw, mine = apple().slice(0, 20), stored.slice(0, 20)
    assert adjusted_for(raw, panel, SPLIT_2005, stored=stored.slice(20)).good == mine
    assert adjusted_for(mine, panel, SPLIT_2005, stored=stored.slice(20)).good == mine


def test_over_a_hole_the_store_tells_and_not_how_far_the_price_went(panel: Panel) -> None:
    stored = adjusted_for(apple(), panel).good
    ends = pa.concat_tables([apple().slice(0, 3), apple("AAPL", 2.0).slice(70)])  # doubled since: no jump
    result = adjusted_for(ends, panel, SPLIT_2005, stored=stored)
    assert result.good["close"].to_pylist()[:3] == [y / 2 for y in apple()["close"].to_pylist()[:3]]


def test_two_known_splits_with_no_bar_in_between_are_one_step(panel: Panel) -> None:
    earlier = Split("AAPL", SPLIT_2005.ds - DAY, 0.5)
    step = pa.concat_tables([apple("AAPL", 2.0).slice(0, SPLIT - 2), apple().slice(SPLIT)])
    result = adjusted_for(step, panel, earlier, SPLIT_2005)
    assert result.good["close"].to_pylist()[0] == apple()["close"].to_pylist()[0] / 2
    assert set(result.applied) == {earlier, SPLIT_2005}


def test_a_split_of_a_series_that_is_not_offered_changes_nothing(panel: Panel) -> None:
    result = adjusted_for(apple("B").slice(0, 20), panel, SPLIT_2005)
    assert result == Adjusted(apple("B").slice(0, 20), (), (), (), ())


def test_each_series_has_its_own_splits(panel: Panel) -> None:
    calm = apple("B").slice(0, 60)
    result = adjusted_for(pa.concat_tables([apple(), calm, apple("C", 3.0)]), panel)
    adjusted, findings = result.good, result.findings
    assert sorted(finding.unique_id for finding in findings) == ["AAPL", "C"]
    assert adjusted.slice(72, 60) == calm
    assert adjusted["close"].to_pylist()[132] == 3 * QUIET[0] / 2


def test_two_splits_multiply(panel: Panel) -> None:
    result = adjusted_for(two_splits()[0], panel)
    adjusted, findings = result.good, result.findings
    np.testing.assert_array_equal(adjusted["close"].to_numpy(), np.tile(QUIET / 2, 3))
    assert [finding.detail[:3] for finding in findings] == ["2:1", "2:1"]


def test_an_adjusted_past_is_a_new_vintage(panel: Panel, storage: Storage) -> None:
    def night(bars: int, now: np.datetime64) -> list[str]:
        rows = apple().slice(0, bars).to_pandas()
        rows.to_csv(panel.source.uri, index=False, columns=["unique_id", "ds", "close", "volume"])
        return [finding.code for finding in ingest(panel, storage, now).findings]

    def closes(table: pa.Table) -> list[float]:
        return table["close"].to_pylist()

    assert "P108" not in night(SPLIT + 5, NOW)
    assert "P108" in night(SPLIT + 6, NOW + DAY)
    table = PriceTable(storage, panel.name)
    raw = apple()["close"].to_pylist()
    assert closes(table.newest()) == pytest.approx([y / 2 for y in raw[:SPLIT]] + raw[SPLIT:])
    assert closes(table.as_known_at(NOW)) == raw[: SPLIT + 5]
    version = table.version
    night(SPLIT + 6, NOW + 2 * DAY)
    assert PriceTable(storage, panel.name).version == version


def test_it_is_off_unless_asked_for(make_panel: Callable[..., Panel]) -> None:
    assert not make_panel({"uri": "nowhere.csv"}).audit.adjust_splits
