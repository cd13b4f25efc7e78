"""Back-adjustment, of the real split of Apple on 2005-02-28 and from a file into the price table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from forecasting.panel import Panel
from forecasting.prices.audit.splits import adjust_splits
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


@pytest.fixture
def panel(make_panel: Callable[..., Panel], tmp_path: Path) -> Panel:
    return make_panel({"uri": str(tmp_path / "prices.csv")}, audit={"adjust_splits": True})


def test_the_past_is_brought_to_the_new_level(panel: Panel) -> None:
    adjusted, (finding,) = adjust_splits(apple(), panel)
    before = apple()
    for name in ("high", "low", "close"):
        expected = before[name].to_numpy() * np.where(np.arange(72) < SPLIT, 0.5, 1)
        np.testing.assert_array_equal(adjusted[name].to_numpy(), expected)
    assert adjusted["volume"].to_pylist()[SPLIT - 1 : SPLIT + 1] == [32.6, 11.6]
    assert adjusted["open"].null_count == 72
    assert (finding.code, finding.unique_id, finding.rows) == ("P108", "AAPL", SPLIT)
    assert finding.detail == "2:1 on 2020-03-07: the 66 bars before it are multiplied by 0.5"


def test_it_is_adjusted_once(panel: Panel) -> None:
    once, _ = adjust_splits(apple(), panel)
    assert adjust_splits(once, panel) == (once, [])


def test_each_series_has_its_own_splits(panel: Panel) -> None:
    calm = apple("B").slice(0, 60)
    adjusted, findings = adjust_splits(pa.concat_tables([apple(), calm, apple("C", 3.0)]), panel)
    assert [finding.unique_id for finding in findings] == ["AAPL", "C"]
    assert adjusted.slice(72, 60) == calm
    assert adjusted["close"].to_pylist()[132] == 3 * QUIET[0] / 2


def test_two_splits_multiply(panel: Panel) -> None:
    twice = np.concatenate([QUIET * 2, QUIET, QUIET / 2])
    table = apple().take(pa.array(np.zeros(180, dtype=np.int64)))
    ds = pa.array(FIRST + np.arange(180) * DAY, pa.timestamp("us", "UTC"))
    table = table.set_column(1, "ds", ds).set_column(5, "close", pa.array(twice))
    adjusted, findings = adjust_splits(table, panel)
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
