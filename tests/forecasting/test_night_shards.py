from pathlib import Path

import pandas as pd
import pytest

from forecasting import night, shards
from forecasting.panel import Panel
from forecasting.prices.table import PriceTable
from forecasting.publishing import reader
from forecasting.reports import chart_data
from forecasting.storage import Storage
from tests.conftest import write_prices

LENGTHS = {"A": 330, "B": 280, "C": 90, "D": 300, "E": 310}


@pytest.fixture
def panel(tmp_path: Path) -> Panel:
    write_prices(tmp_path / "prices.csv", LENGTHS)
    path = tmp_path / "tiny.toml"
    path.write_text(
        'name = "tiny"\n[source]\nuri = "prices.csv"\n[forecast]\nhorizon = 5\n', encoding="utf-8"
    )
    return Panel.load(path)


def published(panel: Panel, folder: Path) -> dict[str, bytes]:
    """The objects of the night's forecast, without those that name the time when it was made."""
    storage = Storage(str(folder))
    address = night.run_night(panel, storage).manifest.address
    names = [path.removeprefix(f"{address.folder}/") for path in storage.list(address.folder)]
    return {name: storage.get(address.path(name)) for name in names if name != "_manifest.json"}


def in_shards(monkeypatch: pytest.MonkeyPatch, series: int) -> None:
    monkeypatch.setattr(shards, "SHARD_SERIES", series)
    for name in ("forecasting.reports.chart_data", "forecasting.reports.report_data"):
        monkeypatch.setattr(f"{name}.SCRIPT_SERIES", series)


def test_a_night_in_shards_publishes_what_one_shard_does(
    panel: Panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(panel, tmp_path / "whole")
    in_shards(monkeypatch, 2)
    objects = published(panel, tmp_path / "shards")
    whole, sharded = (reader.latest("tiny", str(tmp_path / store)) for store in ("whole", "shards"))
    # A network rounds the last digit of a series by how many are forecast together.
    pd.testing.assert_frame_equal(whole, sharded, rtol=1e-6)
    assert [name for name in objects if name.startswith("_shards/")] == []
    assert {f"_report/{chart_data.shard_name(number)}" for number in range(3)} <= objects.keys()


def test_the_same_shards_write_the_same_bytes(
    panel: Panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_shards(monkeypatch, 2)
    first, again = (published(panel, tmp_path / store) for store in ("first", "again"))
    assert {name for name, data in first.items() if again[name] != data} <= {"_report.html"}


def test_a_read_of_some_series_is_the_read_of_all_of_them(panel: Panel, tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "store"))
    night.run_night(panel, storage)
    table = PriceTable(storage, panel)
    frame = table.newest().to_pandas()
    for ids in (["A"], ["B", "D"], ["E"], ["nobody"], []):
        found = table.of(ids).newest().to_pandas()
        expected = frame[frame["unique_id"].isin(ids)].reset_index(drop=True)
        assert found.astype({"unique_id": str}).equals(expected.astype({"unique_id": str}))
    assert table.ids == tuple(LENGTHS)
