import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from forecasting.as_of import to_instant
from forecasting.models.baselines import EwmaWalk
from forecasting.models.windows import Windows, build_windows
from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.prices.ingest import ingest
from forecasting.prices.snapshot import bars_behind, take_snapshot
from forecasting.publishing.decisions import Decision
from forecasting.publishing.forecast import Publisher
from forecasting.reports.past_widths import past_origins, past_widths
from forecasting.shards import make_shards
from forecasting.storage import Storage
from tests.conftest import write_prices

NOW = datetime(2026, 10, 31, 12, tzinfo=UTC)
KEPT = "widths/tiny/0.parquet"
# As wide as the scale at every step.
WALK = EwmaWalk(np.ones((72, 1)) * np.linspace(-1, 1, 11))


class Network:
    """Forecasts ranges as wide as the scale, and keeps the origins that it was asked for."""

    name = "stacked_lstm"

    def __init__(self) -> None:
        self.origins = np.empty(0, dtype=np.int64)

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        assert windows.has_context[origins].all()
        self.origins = np.concatenate([self.origins, origins])
        return windows.scale[origins, None, None] * np.linspace(-1, 1, 11) * np.ones((1, windows.horizon, 1))


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    """The network that publishes every panel."""
    made = Network()
    monkeypatch.setattr("forecasting.publishing.forecast.open_forecaster", lambda *_: made)
    return made


@pytest.fixture
def publisher(trained_panel: Path, local_storage: Storage) -> Publisher:
    who = Decision("2026-10-30", "", "v1", Network.name, "v1", "s", "because", None)
    return Publisher(Panel.load(trained_panel), local_storage, who, WALK)


def widths_of(publisher: Publisher) -> tuple[np.ndarray, Windows]:
    """The past widths of a night, and its windows."""
    panel, storage = publisher.panel, publisher.storage
    ingest(panel, storage, to_instant(NOW))
    snapshot = take_snapshot(panel, storage, None, NOW)
    windows = build_windows(panel, bars_behind(panel, storage, snapshot, snapshot.ids), panel.calendar)
    return past_widths(publisher, snapshot, windows, make_shards(snapshot.ids)[0]), windows


def bars_of(*lengths: int) -> Bars:
    total = sum(lengths)
    return Bars(
        ids=tuple(f"{number:05}" for number in range(len(lengths))),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        ds=np.zeros(total, dtype="datetime64[us]"),
        y=np.ones(total),
    )


def test_origins_are_the_bars_of_a_series_whose_number_five_divides() -> None:
    origins = past_origins(bars_of(300, 12, 1), 3)
    assert origins.shape == (3, 50)
    assert origins[0].tolist() == list(range(295, 45, -5))
    assert origins[1].tolist() == [310, 305, 300, *[-1] * 47]
    assert origins[2].tolist() == [-1] * 50


def test_the_last_bar_itself_is_no_earlier_bar() -> None:
    assert past_origins(bars_of(301), 1)[0, 0] == 295


@pytest.mark.parametrize(("series", "origins"), [(4_000, 50), (5_000, 40), (10_000, 20), (10_001, 0)])
def test_large_panels_have_fewer_origins_a_series(series: int, origins: int) -> None:
    found = past_origins(bars_of(*[270] * series), series)
    assert found.shape == (series, origins)
    assert (found >= 0).all()


def test_a_network_is_asked_for_complete_contexts_a_few_windows_at_a_time(
    publisher: Publisher, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forecasting.reports.past_widths._BLOCK", 5 * 11 * 7)  # seven windows at a time
    write_prices(Path(publisher.panel.source.uri), {"AAA": 130, "BBB": 400})
    widths, windows = widths_of(publisher)
    # AAA: bars 0 to 129. The last is the origin of tonight's range; earlier ones need 20 bars before them.
    earlier = np.arange(125, 19, -5)
    assert network.origins[network.origins < 130].tolist() == earlier.tolist()
    assert widths[0, : len(earlier)] == pytest.approx(2 * np.sinh(0.8 * windows.scale[earlier]))
    assert np.isnan(widths[0, len(earlier) :]).all()


def test_the_next_night_forecasts_only_from_origins_that_are_new(
    publisher: Publisher, network: Network
) -> None:
    prices = Path(publisher.panel.source.uri)
    write_prices(prices, {"AAA": 400, "BBB": 400}, last="2026-10-24")
    widths_of(publisher)
    network.origins = np.empty(0, dtype=np.int64)
    write_prices(prices, {"AAA": 406, "BBB": 406}, last="2026-10-30")
    second, windows = widths_of(publisher)
    assert network.origins.tolist() == [400, 806]
    publisher.storage.delete([KEPT])
    network.origins = np.empty(0, dtype=np.int64)
    assert np.array_equal(widths_of(publisher)[0], second)
    assert len(network.origins) == second.size
    assert np.array_equal(windows.bars.ids, ["AAA", "BBB"])


def test_a_night_with_nothing_new_forecasts_nothing(publisher: Publisher, network: Network) -> None:
    first, _ = widths_of(publisher)
    network.origins = np.empty(0, dtype=np.int64)
    assert np.array_equal(widths_of(publisher)[0], first)
    assert not network.origins.size


@pytest.mark.parametrize("change", ["version", "horizon"])
def test_another_network_begins_anew(publisher: Publisher, network: Network, change: str) -> None:
    first, _ = widths_of(publisher)
    network.origins = np.empty(0, dtype=np.int64)
    panel, storage, who = publisher.panel, publisher.storage, publisher.decision
    if change == "version":
        who = replace(who, version="v2")
    else:
        forecast = panel.forecast.model_copy(update={"horizon": 6})
        panel = panel.model_copy(update={"forecast": forecast})
    widths_of(Publisher(panel, storage, who, WALK))
    assert len(network.origins) == np.isfinite(first).sum()


def test_a_revised_price_needs_another_forecast(publisher: Publisher, network: Network) -> None:
    prices = Path(publisher.panel.source.uri)
    _, windows = widths_of(publisher)
    origin = int(past_origins(windows.bars, len(windows.bars.ids))[1, 3])
    network.origins = np.empty(0, dtype=np.int64)
    day = str(windows.bars.ds[origin])[:10]
    text = re.sub(
        rf"(BBB,{day},)([\d.]+)", lambda found: f"{found[1]}{float(found[2]) * 1.01}", prices.read_text()
    )
    prices.write_text(text)
    widths_of(publisher)
    assert network.origins.tolist() == [origin]


def test_a_run_for_a_past_date_leaves_what_later_nights_keep(publisher: Publisher, network: Network) -> None:
    widths_of(publisher)
    panel, storage = publisher.panel, publisher.storage
    past = take_snapshot(panel, storage, "2026-09-01", NOW)
    windows = build_windows(panel, bars_behind(panel, storage, past, past.ids), panel.calendar)
    past_widths(publisher, past, windows, make_shards(past.ids)[0])
    network.origins = np.empty(0, dtype=np.int64)
    widths_of(publisher)
    kept = len(network.origins)
    assert kept < 3 * 50 - 3 * 12  # those after 2026-09-01 are still there


def test_a_damaged_file_is_made_again(
    publisher: Publisher, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = widths_of(publisher)
    publisher.storage.put(KEPT, b"half a file")
    network.origins = np.empty(0, dtype=np.int64)
    assert np.array_equal(widths_of(publisher)[0], first)
    assert f"{KEPT} is damaged" in caplog.text
    assert len(network.origins) == np.isfinite(first).sum()


def test_a_baseline_keeps_nothing(publisher: Publisher) -> None:
    walk = replace(publisher, decision=replace(publisher.decision, model=EwmaWalk.name, version=""))
    widths, _ = widths_of(walk)
    assert np.isfinite(widths).all()
    assert publisher.storage.find(KEPT) is None
