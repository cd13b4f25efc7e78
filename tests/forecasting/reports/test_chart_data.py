import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.reports.chart_data import FAN, SCRIPT_SERIES, ChartData, ChartGrid, pack
from forecasting.reports.past_forecasts import PastForecast
from tests.published import DAY, small_panel

HORIZON, AS_OF = 5, "2026-06-30"
END = np.datetime64(AS_OF, "us")


def unpack(units: Sequence[float], data: bytes, width: int) -> np.ndarray:
    """What the page makes of what `pack` gives."""
    content = zlib.decompress(data)
    planes = np.frombuffer(content[: 4 * len(units) * width], np.uint8).reshape(4, len(units), width)
    codes = sum(plane.astype(np.int64) << 8 * at for at, plane in enumerate(planes))
    whole = np.cumsum((codes >> 1) ^ -(codes & 1), axis=1)
    bits = np.frombuffer(content[4 * len(units) * width :], np.uint8).reshape(len(units), -1)
    present = np.unpackbits(bits, axis=1)[:, :width].astype(bool)
    return np.where(present, whole * np.array(units)[:, None], np.nan)


def shard(data: ChartData, number: int = 0) -> dict[str, Any]:
    """What a script passes to the page, with its values unpacked."""
    text = list(data.scripts())[number][1].decode()
    assert text.startswith(f"nightcast.addShard({number}, ")
    record: dict[str, Any] = json.loads(text.removeprefix(f"nightcast.addShard({number}, ")[:-3])
    width = data.grid.history + (len(FAN) + 3 * len(data.past)) * HORIZON
    return record | {"values": unpack(record["units"], base64.b64decode(record["data"]), width)}


def bars_of(ends: dict[str, np.datetime64], count: int = 20) -> Bars:
    """So many daily prices of each series up to its end: 100, 101, ..."""
    names = sorted(ends)
    return Bars(
        tuple(names),
        np.arange(len(names) + 1) * count,
        np.concatenate([ends[name] - np.arange(count)[::-1] * DAY for name in names]),
        np.tile(100.0 + np.arange(count), len(names)),
    )


def forecast_of(series: int) -> pa.Table:
    """A forecast whose values say which series, quantile and step they are of."""
    step = np.tile(np.arange(1, HORIZON + 1), series)
    of = np.repeat(np.arange(series), HORIZON)
    return pa.table({name: 1000.0 * (1 + of) + 10 * at + step for at, name in enumerate(FAN)})


def past_of(name: str, cutoff: np.datetime64, y_cutoff: float) -> PastForecast:
    fan = np.array([0.9, 1.0, 1.1])[:, None] * y_cutoff * np.ones(HORIZON)
    return PastForecast(
        str(cutoff)[:10], pa.array([name]), np.array([cutoff]), np.array([y_cutoff]), fan[None]
    )


def make(panel: Panel, bars: Bars, *past: PastForecast) -> ChartData:
    return ChartData.of(panel, ChartGrid.of(panel, AS_OF), bars, forecast_of(len(bars.ids)), past)


@pytest.fixture
def panel() -> Panel:
    return small_panel()


@pytest.mark.parametrize(
    "values",
    [
        [[1.0842, 1.0843, 1.08], [17234.4, 17000.1, 16999.9]],
        [[0.00050123, 0.0005, 0.00051], [-36.98, 18.27, 0.0]],
        [[np.nan, 5.0, np.nan], [np.nan, np.nan, np.nan]],
        [[1e-9, 1.0, 30.0], [1e30, 1e29, 5.0]],
    ],
    ids=["usual", "small and negative", "missing", "of very different sizes"],
)
def test_what_is_packed_is_unpacked_to_five_digits_of_what_is_large(values: list[list[float]]) -> None:
    given = np.array(values)
    units, data = pack(given)
    largest = np.nanmax(np.abs(np.nan_to_num(given)), axis=1, keepdims=True)
    limit = np.maximum(1e-5 * np.abs(given), 1e-9 * largest) + 1e-12
    found = unpack(units.tolist(), data, given.shape[1])
    assert (np.isnan(found) == np.isnan(given)).all()
    assert (np.abs(found - given) <= limit)[~np.isnan(given)].all()


def test_prices_and_the_forecast_are_on_one_grid(panel: Panel) -> None:
    data = make(panel, bars_of({"AAA": END, "LATE": END - 3 * DAY}))
    values = shard(data)["values"]
    assert data.grid.times[data.grid.history - 1] == END
    assert (data.grid.times[data.grid.history :] == END + np.arange(1, HORIZON + 1) * DAY).all()
    assert data.grid.places(data.bars.ds[data.bars.last]).tolist() == [
        data.grid.history - 1,
        data.grid.history - 4,
    ]
    assert values[:, data.grid.history - 4].tolist() == [116.0, 119.0]
    assert np.isnan(values[1, data.grid.history - 3 : data.grid.history]).all()
    assert values[1, data.grid.history :].reshape(len(FAN), HORIZON)[3].tolist() == [
        2031,
        2032,
        2033,
        2034,
        2035,
    ]


def test_bars_before_the_grid_are_left_out(panel: Panel) -> None:
    data = make(panel, bars_of({"AAA": END}, count=900))
    prices = shard(data)["values"][0, : data.grid.history]
    assert (prices[0], prices[-1]) == (900 + 100 - data.grid.history, 999)


def test_a_past_forecast_begins_at_its_own_cutoff(panel: Panel) -> None:
    data = make(panel, bars_of({"AAA": END, "BBB": END}), past_of("BBB", END - 4 * DAY, 115.0))
    record = shard(data)
    assert record["starts"] == [[-1], [data.grid.history - 5]]
    past = record["values"][:, data.grid.history + len(FAN) * HORIZON :]
    assert np.isnan(past[0]).all()
    assert past[1].reshape(3, HORIZON)[:, 0] == pytest.approx([103.5, 115.0, 126.5])


@pytest.mark.parametrize(
    ("transform", "expected"), [("log", [103.5, 115.0, 126.5]), ("diff", [92.0, 115.0, 138.0])]
)
def test_a_past_forecast_follows_prices_that_the_source_has_changed_since(
    transform: str, expected: list[float]
) -> None:
    panel = small_panel(forecast={"horizon": HORIZON, "transform": transform})
    data = make(panel, bars_of({"AAA": END}), past_of("AAA", END - 4 * DAY, 230.0))
    past = shard(data)["values"][0, data.grid.history + len(FAN) * HORIZON :]
    assert past.reshape(3, HORIZON)[:, 0] == pytest.approx(expected)


def test_a_past_forecast_of_fewer_steps_ends_earlier(panel: Panel) -> None:
    one = past_of("AAA", END - 4 * DAY, 115.0)
    short = PastForecast(one.as_of, one.ids, one.cutoff, one.y_cutoff, one.quantiles[:, :, :2])
    data = make(panel, bars_of({"AAA": END}), short)
    past = shard(data)["values"][0, data.grid.history + len(FAN) * HORIZON :].reshape(3, HORIZON)
    assert np.isfinite(past).sum(axis=1).tolist() == [2, 2, 2]


def test_many_series_are_in_several_scripts(panel: Panel) -> None:
    names = [f"S{number:03}" for number in range(SCRIPT_SERIES + 1)]
    data = make(panel, bars_of(dict.fromkeys(names, END)))
    first, second = shard(data), shard(data, 1)
    assert (len(first["units"]), len(second["units"])) == (SCRIPT_SERIES, 1)
    assert second["values"][0, data.grid.history] == 1000 * (SCRIPT_SERIES + 1) + 1
