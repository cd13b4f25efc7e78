"""A report of any number of series, made through the library in a moment: no prices, training or night."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from forecasting.evaluation.verdict import SeriesScore
from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.publishing.address import REPORT, ForecastAddress
from forecasting.reports.chart_data import FAN, ChartData, ChartGrid
from forecasting.reports.outlook import outlook_table, outlooks
from forecasting.reports.past_forecasts import PastForecast
from forecasting.reports.report_contents import ReportData
from forecasting.reports.report_files import put_charts, put_report
from forecasting.reports.series_table import SeriesResult
from forecasting.storage import Storage

AS_OF = "2026-10-30"

_BARS, _HORIZON = 600, 72
_SCORES = np.array([-1.645, -1.282, -0.842, 0.0, 0.842, 1.282, 1.645])
_END = np.datetime64(AS_OF, "us")
_LATE = 7  # every so many series lack the last three bars


def _panel(freq: str) -> Panel:
    return Panel.model_validate({"name": "big", "source": {"uri": "x"}, "bars": {"freq": freq}})


def address_of(freq: str = "1D") -> ForecastAddress:
    """Where the report is."""
    return ForecastAddress("big", _panel(freq).label(_END), "0123456789abcdef")


def _names(series: int) -> list[str]:
    return [f"S{number:05}" for number in range(series)]


@cache
def _prices(series: int) -> np.ndarray:
    """(S, N) random walks of prices from below 1 to above 10,000."""
    rng = np.random.default_rng(0)
    walks = np.exp(rng.normal(0, 0.01, (series, _BARS)).cumsum(axis=1))
    return walks * 10 ** rng.uniform(-1, 4, (series, 1))


def _last_bars(series: int, freq: str) -> np.ndarray:
    return np.where(np.arange(series) % _LATE == 1, _END - 3 * _panel(freq).bars.step, _END)


def _fan(prices: np.ndarray, horizon: int, scores: np.ndarray) -> np.ndarray:
    """(S, Q, H) quantiles that open with the square root of time from prices (S,)."""
    spread = 0.01 * np.sqrt(np.arange(1, horizon + 1)) * scores[:, None]
    fan: np.ndarray = prices[:, None, None] * np.exp(spread)
    return fan


def big_charts(series: int, freq: str = "1D") -> ChartData:
    """The charts' values, with two past forecasts."""
    panel, prices, last = _panel(freq), _prices(series), _last_bars(series, freq)
    step = panel.bars.step
    names = _names(series)
    bars = Bars(
        tuple(names),
        np.arange(series + 1) * _BARS,
        (last[:, None] - np.arange(_BARS)[::-1] * step).ravel(),
        prices.ravel(),
    )
    fan = _fan(prices[:, -1], _HORIZON, _SCORES)
    forecast = pa.table({name: fan[:, at].ravel() for at, name in enumerate(FAN)})
    past = []
    for ago in (_HORIZON, _HORIZON // 3):
        then = prices[:, -1 - ago]
        fan = _fan(then, _HORIZON, _SCORES[[1, 3, 5]])
        label = panel.label(_END - ago * step)
        past.append(PastForecast(label, pa.array(names), last - ago * step, then, fan))
    return ChartData.of(panel, ChartGrid.of(panel, panel.label(_END)), bars, forecast, past)


def big_report(series: int, freq: str = "1D") -> ReportData:
    """The report's contents; the moods go round from calm to nervous."""
    prices, names = _prices(series)[:, -1], _names(series)
    ends = _fan(prices, _HORIZON, _SCORES)[:, :, -1]
    percentiles = np.arange(series) * 37 % 101.0
    odds = {"below_5pct": np.linspace(0, 0.5, series), "above_5pct": np.linspace(0.5, 0, series)}
    found = outlooks(outlook_table(pa.chunked_array([names]), ends[:, 5] - ends[:, 1], percentiles, odds))
    results = [
        SeriesResult(
            unique_id=name,
            cutoff=last.item().replace(tzinfo=UTC),
            y_cutoff=price,
            median=end[3],
            low=end[1],
            high=end[5],
            model="stacked_lstm",
            outlook=found[name],
            score=SeriesScore(0.01, 0.8, 0.9, 30),
        )
        for name, last, price, end in zip(names, _last_bars(series, freq), prices, ends, strict=True)
    ]
    return ReportData(
        panel="big",
        as_of=address_of(freq).as_of,
        known_at=datetime(2026, 10, 30, 16, 5, tzinfo=UTC),
        freq=freq,
        horizon=_HORIZON,
        model="stacked_lstm",
        model_version="3f2a9c1d77e0b412",
        verdict="It beat the best baseline on the holdout.",
        series=results,
        warnings=["Prices are a day late."],
    )


def put_big_report(storage: Storage, report: ReportData, charts: ChartData) -> None:
    """Write a report and the values of its charts to a store."""
    address = address_of(report.freq)
    put_charts(storage, address, charts)
    put_report(storage, address, report, charts.grid, [one.as_of for one in charts.past])


def write_big_report(folder: Path, series: int, freq: str = "1D") -> Path:
    """Write a report to a store in a folder, and return the page."""
    put_big_report(Storage(str(folder)), big_report(series, freq), big_charts(series, freq))
    return folder / address_of(freq).path(REPORT)
