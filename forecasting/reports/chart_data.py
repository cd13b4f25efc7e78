"""The data of the report's charts: recent prices, the forecast and past forecasts, packed for the browser.

A page opened from disk may not fetch the files beside it, but may run scripts there. So the data come as
scripts, some hundred series in each, and the page loads one when a series is opened.

All series share one grid of bars: the calendar's last bars up to the `as_of`, and the horizon after it. A
value's place on the grid is its time. `assets/series_data.js` unpacks what `pack` packs.
"""

import base64
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.calendar import BarCalendar
from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.reports.past_forecasts import QUANTILES, PastForecast

SCRIPT_SERIES = 200
# The fan's curves: median and the limits of the 60, 80 and 90% intervals.
FAN = ("q05", "q10", "q20", "q50", "q80", "q90", "q95")

_HISTORY_BARS = 500
_HISTORY_HORIZONS = 3
_DIGITS = 5  # significant digits of a series' smallest value, at least
_LARGEST = 1e9  # the largest packed number, so that a step between two fits into 32 bits
_ZLIB_LEVEL = 6


@dataclass(frozen=True)
class ChartGrid:
    """The bars that all charts of a forecast share.

    Attributes:
        times: (T + H,) datetime64[us]; T bars up to the `as_of`, and H bars after it.
        horizon: H.
        calendar: the calendar of the bars.
    """

    times: np.ndarray
    horizon: int
    calendar: BarCalendar

    @classmethod
    def of(cls, panel: Panel, as_of: str) -> "ChartGrid":
        """The grid of a panel's forecast."""
        calendar, horizon, end = panel.calendar, panel.forecast.horizon, panel.instant(as_of)
        length = max(_HISTORY_BARS, _HISTORY_HORIZONS * horizon)
        grid = calendar.bars(calendar.back(end, length - 1), end)
        return cls(np.concatenate([grid, calendar.future(end, horizon)]), horizon, calendar)

    @property
    def history(self) -> int:
        """T, the number of bars up to the `as_of`."""
        return len(self.times) - self.horizon

    def places(self, ds: np.ndarray) -> np.ndarray:
        """The place of each bar on the grid; negative before it."""
        places: np.ndarray = self.calendar.position(ds) - self.calendar.position(self.times[0])
        return places


def shard_name(number: int) -> str:
    """Return the file name of a script of series."""
    return f"series-{number:03}.js"


@dataclass(frozen=True)
class ChartData:
    """The values of the charts of S series of a forecast.

    Attributes:
        grid: the bars that all charts share: T of them up to the `as_of`, and H after it.
        bars: the S series' prices.
        positions: (N,) the place of each bar of `bars` on the grid; negative before it.
        forecast: the forecast, sorted by series and step, H rows for each of the S series.
        past: past forecasts.
        starts: (S, P) the place of each past forecast's cutoff; -1 where it lacks the series.
        relative: whether prices of another time are scaled to today's, rather than shifted.
    """

    grid: ChartGrid
    bars: Bars
    positions: np.ndarray
    forecast: pa.Table
    past: Sequence[PastForecast]
    starts: np.ndarray
    relative: bool

    @property
    def horizon(self) -> int:
        """H, the number of the grid's bars after the `as_of`."""
        return self.grid.horizon

    @classmethod
    def of(
        cls, panel: Panel, grid: ChartGrid, bars: Bars, forecast: pa.Table, past: Sequence[PastForecast]
    ) -> "ChartData":
        """Place prices and forecasts of the same series on one grid."""
        starts = np.full((len(bars.ids), len(past)), -1)
        for number, one in enumerate(past):
            row = _rows(bars, one)
            start = grid.places(one.cutoff)[row]
            starts[:, number] = np.where((row >= 0) & (start >= 0), start, -1)
        return cls(
            grid=grid,
            bars=bars,
            positions=grid.places(bars.ds),
            forecast=forecast.select(FAN).combine_chunks(),
            past=past,
            starts=starts,
            relative=panel.forecast.transform == "log",
        )

    def scripts(self, first: int = 0) -> Iterator[tuple[str, bytes]]:
        """Yield the names and scripts of the series' values, `SCRIPT_SERIES` in each, in the bars' order.

        `first` is the number of the first script.
        """
        for number, start in enumerate(range(0, len(self.bars.ids), SCRIPT_SERIES), start=first):
            part = slice(start, start + SCRIPT_SERIES)
            units, data = pack(self._values(part))
            record: dict[str, Any] = {"units": units.tolist(), "starts": self.starts[part].tolist()}
            record["data"] = base64.b64encode(data).decode()
            script = f"nightcast.addShard({number}, {json.dumps(record, separators=(',', ':'))});\n"
            yield shard_name(number), script.encode()

    def _values(self, part: slice) -> np.ndarray:
        """(s, T + 7H + 3PH) prices, the forecast's curves and the past forecasts' of some series."""
        prices = self._prices(part)
        rows = slice(part.start * self.horizon, part.stop * self.horizon)
        fan = [self.forecast[name].to_numpy()[rows].reshape(-1, self.horizon) for name in FAN]
        past = [self._past(part, number, prices) for number in range(len(self.past))]
        return np.concatenate([prices, *fan, *past], axis=1)

    def _prices(self, part: slice) -> np.ndarray:
        """(s, T) prices of some series on the grid; NaN where there is no bar."""
        offsets = self.bars.offsets[part.start : part.stop + 1]
        bars = slice(offsets[0], offsets[-1])
        position, series = self.positions[bars], self.bars.series[bars] - part.start
        inside = position >= 0
        prices = np.full((len(offsets) - 1, self.grid.history), np.nan)
        prices[series[inside], position[inside]] = self.bars.y[bars][inside]
        return prices

    def _past(self, part: slice, number: int, prices: np.ndarray) -> np.ndarray:
        """(s, 3H) the curves of a past forecast in today's price units; NaN where it lacks the series.

        A source may have multiplied the past since, as after a split: the price at the cutoff tells.
        """
        one, start = self.past[number], self.starts[part, number]
        known = start >= 0
        curves = np.full((len(start), len(QUANTILES), self.horizon), np.nan)
        row = _rows(self.bars, one)[part][known]
        steps = min(one.quantiles.shape[2], self.horizon)
        quantiles, then = one.quantiles[row, :, :steps], one.y_cutoff[row]
        now = prices[known, start[known]]
        if self.relative:
            moved = quantiles * (now / then)[:, None, None]
        else:
            moved = quantiles + (now - then)[:, None, None]
        curves[known, :, :steps] = moved
        return curves.reshape(len(start), -1)


def _rows(bars: Bars, past: PastForecast) -> np.ndarray:
    """(S,) each series' row in a past forecast; -1 where it lacks the series."""
    rows: np.ndarray = pc.fill_null(pc.index_in(pa.array(bars.ids, pa.string()), past.ids), -1).to_numpy()
    return rows


def pack(values: np.ndarray) -> tuple[np.ndarray, bytes]:
    """Pack prices (s, C) into few bytes: the page divides nothing and rounds nothing.

    Each row is rounded to whole multiples of its unit, and stored as the steps from one value to the next,
    which are small. A step is a 32-bit number whose lowest bit is the sign. First come the lowest bytes of
    all steps, then the second ones, and so on: most of these are zero, so that they compress well. At the
    end a bit for each value says whether it is there; a missing one repeats the value before it.

    Returns:
        (s,) the units, and the bytes, compressed with zlib.
    """
    present = np.isfinite(values)
    units = _units(np.where(present, np.abs(values), np.nan))
    before = np.maximum.accumulate(np.where(present, np.arange(values.shape[1]), 0), axis=1)
    filled = np.nan_to_num(np.take_along_axis(values, before, axis=1))
    whole = np.rint(filled / units[:, None]).astype(np.int64)
    steps = np.diff(whole, axis=1, prepend=0)
    codes = ((steps << 1) ^ (steps >> 63)).astype("<u4")
    planes = codes.view(np.uint8).reshape(*codes.shape, 4).transpose(2, 0, 1)
    data = planes.tobytes() + np.packbits(present, axis=1).tobytes()
    return units, zlib.compress(data, _ZLIB_LEVEL)


def _units(sizes: np.ndarray) -> np.ndarray:
    """(s,) powers of ten that keep enough digits of the smallest of each row's absolute values (s, C)."""
    positive = np.where(sizes > 0, sizes, np.nan)
    known = np.isfinite(positive).any(axis=1)
    smallest, largest = np.ones(len(sizes)), np.ones(len(sizes))
    smallest[known] = np.nanmin(positive[known], axis=1)
    largest[known] = np.nanmax(positive[known], axis=1)
    exponent = np.maximum(np.floor(np.log10(smallest)) - _DIGITS, np.ceil(np.log10(largest / _LARGEST)))
    units: np.ndarray = 10.0**exponent
    return units
