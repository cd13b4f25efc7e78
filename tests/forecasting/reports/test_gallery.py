import logging
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from forecasting import __version__
from forecasting.panel import Panel
from forecasting.parquet import table_to_bytes
from forecasting.prices.snapshot import take_snapshot
from forecasting.publishing.address import CHARTS, ForecastAddress
from forecasting.publishing.decisions import Decision
from forecasting.publishing.forecast import read_written
from forecasting.quantiles import COLUMNS
from forecasting.reports import chart_choice, gallery
from forecasting.reports.chart_choice import choose_pictures
from forecasting.reports.charts import SeriesChart
from forecasting.reports.gallery import draw_gallery
from forecasting.reports.outlook import OUTLOOK, outlook_table
from forecasting.shards import make_shards
from forecasting.storage import Storage
from tests.published import add_prices, publish_walk, small_panel, walks

AS_OF = "2026-04-10"
DECISION = Decision(AS_OF, "2026-01-01T06:00:00+00:00", "v", "ewma_walk", __version__, "s", "because", None)


@pytest.fixture
def address(local_storage: Storage) -> ForecastAddress:
    """A forecast of AAA, B/B and CCC, of which B/B is the most nervous."""
    panel = small_panel()
    add_prices(panel, local_storage, walks(120))
    address = publish_walk(panel, local_storage, AS_OF)
    ids, percentiles = pa.chunked_array([["AAA", "B/B", "CCC"]]), np.array([10.0, 95.0, 50.0])
    outlook = outlook_table(ids, np.ones(3), percentiles, {})
    local_storage.put(address.path(OUTLOOK), table_to_bytes(outlook))
    return address


def drawn(panel: Panel, storage: Storage, address: ForecastAddress) -> tuple[str, ...]:
    snapshot = take_snapshot(panel, storage, AS_OF, datetime(2026, 11, 20, 6, tzinfo=UTC))
    chosen = choose_pictures(panel, storage, snapshot, address)
    draw_gallery(panel, storage, snapshot, DECISION, make_shards(chosen)[0])
    return storage.names(address.path(CHARTS))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three series are a large panel, and one of them is worth seeing."""
    monkeypatch.setattr(chart_choice, "MAX_ALL", 2)
    monkeypatch.setattr(chart_choice, "SHOWN", 1)


def test_every_series_of_a_small_panel_is_drawn(local_storage: Storage, address: ForecastAddress) -> None:
    assert drawn(small_panel(), local_storage, address) == ("AAA.png", "B%2FB.png", "CCC.png")


@pytest.mark.usefixtures("large")
def test_of_a_large_panel_the_most_nervous_series_are_drawn(
    local_storage: Storage, address: ForecastAddress
) -> None:
    assert drawn(small_panel(), local_storage, address) == ("B%2FB.png",)


@pytest.mark.usefixtures("large")
def test_the_panel_names_further_series(
    local_storage: Storage, address: ForecastAddress, caplog: pytest.LogCaptureFixture
) -> None:
    panel = small_panel(charts={"png": ["CCC", "gone"]})
    with caplog.at_level(logging.WARNING):
        assert drawn(panel, local_storage, address) == ("B%2FB.png", "CCC.png")
    assert "[charts].png names series without a forecast: gone" in caplog.text


def quantiles(storage: Storage, address: ForecastAddress, unique_id: str) -> np.ndarray:
    rows = read_written(storage, address).to_pandas().set_index("unique_id").loc[unique_id]
    return rows[list(COLUMNS)].to_numpy()


def test_a_chart_has_its_series_forecast_and_the_one_published_a_horizon_ago(
    local_storage: Storage, address: ForecastAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = publish_walk(small_panel(), local_storage, "2026-04-05")
    seen: list[SeriesChart] = []

    def draw(charts: list[SeriesChart], keep: Callable[[str, bytes], None]) -> list[str]:
        seen.extend(charts)
        keep("CCC", b"")
        return ["CCC"]

    monkeypatch.setattr(gallery, "draw_charts", draw)
    assert drawn(small_panel(), local_storage, address) == ("CCC.png",)
    assert [chart.unique_id for chart in seen] == ["AAA", "B/B", "CCC"]
    for chart in seen:
        past = chart.comparison
        assert past is not None
        assert past.origin == "published for 2026-04-05"
        assert (chart.quantiles == quantiles(local_storage, address, chart.unique_id)).all()
        assert (past.quantiles == quantiles(local_storage, earlier, chart.unique_id)).all()
        assert (past.y == chart.y[-5:]).all()
        assert chart.forecast_ds[0] - chart.cutoff == np.timedelta64(1, "D")
