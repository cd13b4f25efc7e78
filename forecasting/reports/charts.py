"""Charts of a series' forecast, beside an earlier forecast and the actual prices.

Pure functions from data to PNG bytes; the same data gives the same bytes.
"""

import textwrap
from dataclasses import dataclass

import numpy as np

from forecasting.as_of import to_datetime
from forecasting.formats import (
    format_change,
    format_date,
    format_percent,
    format_price,
    price_size,
)
from forecasting.quantiles import HIGH_80, LOW_80, MEDIAN
from forecasting.reports.canvas import Box, Canvas
from forecasting.reports.colors import BLUE, GREY, INK, MUTED, RED
from forecasting.reports.plot import Plot
from forecasting.reports.time_axis import mark_times

RECENT_BARS = 250  # drawn before a forecast of 72 steps; fewer before a shorter one

_ID_SHORT, _ID_LONGEST = 10, 24  # letters of an id that fit in the large font, and in the small one

# All in pixels. Rooms are those of a plot's names of values, and of its labels.
_SIZE = (1200, 500)
_LEFT, _MIDDLE = 18, 756  # where the text of the two plots begins
_LEFT_ROOM, _MIDDLE_ROOM = 720, 432
_FORECAST_BOX, _FORECAST_ROOMS = Box(86.4, 130, 624, 417.5), (80, 116)
_COMPARISON_BOX, _COMPARISON_ROOMS = Box(822, 130, 1070.4, 417.5), (66, 124)


@dataclass(frozen=True)
class Comparison:
    """An earlier forecast of a series, and the actual prices.

    Attributes:
        cutoff: the last bar that the forecast knew, UTC.
        y_cutoff: the price at the cutoff, which is the random walk's forecast.
        ds: (H,) datetime64; the bars forecast, UTC.
        y: (H,) float64; the actual prices; NaN where there is no bar.
        quantiles: (H, 11) float64; price quantiles at `forecasting.quantiles.LEVELS`.
        origin: how the forecast was made, such as "published for 2026-07-20".
        skill: skill against the random walk over these bars, or None.
    """

    cutoff: np.datetime64
    y_cutoff: float
    ds: np.ndarray
    y: np.ndarray
    quantiles: np.ndarray
    origin: str
    skill: float | None = None


@dataclass(frozen=True)
class SeriesChart:
    """The data of one series' chart.

    Attributes:
        unique_id: the series.
        panel: the panel's name.
        price_label: the kind of price, such as "close".
        ds: (N,) datetime64; recent bars, UTC, up to the cutoff; `RECENT_BARS` of them are drawn.
        y: (N,) float64; the prices of these bars.
        cutoff: the last bar that the forecast knows, UTC.
        y_cutoff: the price at the cutoff.
        forecast_ds: (H,) datetime64; the bars forecast, UTC.
        quantiles: (H, 11) float64; price quantiles at `forecasting.quantiles.LEVELS`.
        model: the model that forecasts.
        comparison: an earlier forecast with the actual prices, or None.
        no_comparison: why there is no earlier forecast.
    """

    unique_id: str
    panel: str
    price_label: str
    ds: np.ndarray
    y: np.ndarray
    cutoff: np.datetime64
    y_cutoff: float
    forecast_ds: np.ndarray
    quantiles: np.ndarray
    model: str
    comparison: Comparison | None = None
    no_comparison: str = ""

    @property
    def price_size(self) -> float:
        """The magnitude that decides how many decimals the prices have."""
        return price_size(self.y_cutoff, self.quantiles[-1][LOW_80], self.quantiles[-1][HIGH_80])

    @property
    def daily(self) -> bool:
        """Whether every bar starts at midnight, so that dates suffice as labels."""
        times = np.concatenate([self.ds[-RECENT_BARS:], self.forecast_ds])
        return bool((times == times.astype("datetime64[D]")).all())


def draw_series(chart: SeriesChart) -> bytes:
    """Draw the chart of one series: 1200 x 500 pixels, PNG."""
    canvas = Canvas(*_SIZE)
    _draw_forecast(canvas, chart)
    _write_forecast_title(canvas, chart)
    if chart.comparison is None:
        _write_absence(canvas, chart.no_comparison)
    else:
        _draw_comparison(canvas, chart, chart.comparison)
        _write_comparison_title(canvas, chart, chart.comparison)
    return canvas.png()


def _draw_forecast(canvas: Canvas, chart: SeriesChart) -> None:
    """Draw recent actual prices up to the cutoff, and the forecast after it."""
    recent = min(RECENT_BARS, 40 + 3 * len(chart.forecast_ds))
    y = chart.y[-recent:]
    ds = np.concatenate([chart.ds[-recent:], chart.forecast_ds])
    now = len(y) - 1
    values = np.concatenate([y, chart.quantiles.ravel()])
    plot = Plot(canvas, _FORECAST_BOX, len(ds), values, _FORECAST_ROOMS)
    plot.fan(now, chart.y_cutoff, chart.quantiles)
    plot.prices(y, now)
    plot.mark_times(*mark_times(ds, daily=chart.daily, at_most=8))
    ends = [chart.quantiles[-1][position] for position in (HIGH_80, MEDIAN, LOW_80)]
    plot.label_ends([(end, format_price(end, chart.price_size), RED) for end in ends])


def _write_forecast_title(canvas: Canvas, chart: SeriesChart) -> None:
    median, low, high = (
        format_price(chart.quantiles[-1][position], chart.price_size)
        for position in (MEDIAN, LOW_80, HIGH_80)
    )
    change = format_change(chart.quantiles[-1][MEDIAN], chart.y_cutoff)
    until = format_date(to_datetime(chart.forecast_ds[-1]), daily=chart.daily)
    since = format_date(to_datetime(chart.cutoff), daily=chart.daily)
    name = chart.unique_id
    if len(name) > _ID_LONGEST:
        name = name[: _ID_LONGEST - 1] + "…"
    title = [
        (name, INK, True),
        (format_price(chart.y_cutoff, chart.price_size), BLUE, True),
        ("→", MUTED, False),
        (median, RED, True),
    ]
    outlook = f"median {change} in {_bars(chart.forecast_ds)}, by {until}; 80% range {low} to {high}"
    legend = (
        f"blue: {chart.price_label}, to {since}.  red: {chart.model}, median with 60, 80 and 90% intervals"
    )
    size = 24 if len(name) <= _ID_SHORT else 15
    canvas.write((_LEFT, 55), size, title, room=_LEFT_ROOM)
    canvas.write((_LEFT, 96), 11.5, [(outlook, INK, False)], room=_LEFT_ROOM)
    canvas.write((_LEFT, 485), 10, [(legend, MUTED, False)], room=_LEFT_ROOM)


def _draw_comparison(canvas: Canvas, chart: SeriesChart, past: Comparison) -> None:
    """Draw the actual prices over the earlier forecast and the random walk's line."""
    before = np.flatnonzero(chart.ds < past.cutoff)[-max(12, len(past.ds) // 2) :]
    y = np.concatenate([chart.y[before], [past.y_cutoff], past.y])
    ds = np.concatenate([chart.ds[before], [past.cutoff], past.ds])
    then = len(before)
    values = np.concatenate([y, past.quantiles.ravel()])
    plot = Plot(canvas, _COMPARISON_BOX, len(ds), values, _COMPARISON_ROOMS)
    plot.fan(then, past.y_cutoff, past.quantiles)
    plot.line(np.array([then, len(ds) - 1]), np.full(2, past.y_cutoff), GREY, 1.8, dashed=True)
    plot.prices(y, then)
    plot.mark_times(*mark_times(ds, daily=chart.daily, at_most=5))
    actual, median = y[np.isfinite(y)][-1], past.quantiles[-1][MEDIAN]
    ends = [(actual, "actual", BLUE), (median, "median", RED), (past.y_cutoff, "random walk", GREY)]
    plot.label_ends(ends)


def _write_comparison_title(canvas: Canvas, chart: SeriesChart, past: Comparison) -> None:
    made_on = format_date(to_datetime(past.cutoff), daily=chart.daily)
    skill = f"skill {format_percent(past.skill, signed=True)} against the random walk"
    canvas.write((_MIDDLE, 50), 15, [(f"Forecast of {made_on}", INK, True)], room=_MIDDLE_ROOM)
    canvas.write((_MIDDLE, 73), 10, [(past.origin, MUTED, False)], room=_MIDDLE_ROOM)
    canvas.write((_MIDDLE, 96), 10, [(skill, MUTED, False)], room=_MIDDLE_ROOM)
    canvas.write((_MIDDLE, 485), 10, [(f"panel {chart.panel}", MUTED, False)], room=_MIDDLE_ROOM)


def _write_absence(canvas: Canvas, reason: str) -> None:
    canvas.write((_MIDDLE, 50), 15, [("No earlier forecast to show", INK, True)], room=_MIDDLE_ROOM)
    for line, words in enumerate(textwrap.wrap(reason, 50)):
        canvas.write((_MIDDLE, 77 + 22.5 * line), 10.5, [(words, MUTED, False)], room=_MIDDLE_ROOM)


def _bars(ds: np.ndarray) -> str:
    return "1 bar" if len(ds) == 1 else f"{len(ds)} bars"
