"""Charts of a series' forecast, beside an earlier forecast and the actual prices, and of a model's loss.

Pure functions from data to PNG bytes; the same data gives the same bytes.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forecasting.as_of import to_datetime
from forecasting.formats import (
    format_change,
    format_date,
    format_percent,
    format_price,
    price_size,
)
from forecasting.quantiles import HIGH_80, LOW_80, MEDIAN
from forecasting.reports.drawing import (
    BLUE,
    DASHES,
    DPI,
    GREY,
    INK,
    MUTED,
    RED,
    draw_fan,
    frame,
    label_ends,
    mark_steps,
    new_axes,
    to_png,
    wipe,
    write,
)
from forecasting.reports.time_axis import mark_times

RECENT_BARS = 250  # drawn before a forecast of 72 steps; fewer before a shorter one

_INCHES = (12.0, 5.0)
_LOSS_INCHES = (9.0, 4.0)

_ID_SHORT, _ID_LONGEST = 10, 24  # letters of an id that fit in the large font, and in the small one
_LEFT, _MIDDLE = 0.015, 0.63  # where the text of the two panels begins, as a share of the width


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


class SeriesChartPainter:
    """Draws series charts on one reused figure, which is faster than a new figure for each.

    A painter is not thread-safe: use one for each thread.
    """

    def __init__(self) -> None:
        self._figure = Figure(figsize=_INCHES, dpi=DPI, facecolor="white")
        self._forecast = new_axes(self._figure, (0.072, 0.165, 0.448, 0.575))
        self._comparison = new_axes(self._figure, (0.685, 0.165, 0.207, 0.575))

    def draw(self, chart: SeriesChart) -> bytes:
        """Draw the chart of one series: 1200 x 500 pixels, PNG."""
        for axes in (self._forecast, self._comparison):
            wipe(axes)
        _draw_forecast(self._forecast, chart)
        _write_forecast_title(self._forecast, chart)
        self._comparison.set_axis_on()
        if chart.comparison is None:
            _draw_absence(self._comparison, chart.no_comparison)
        else:
            _draw_comparison(self._comparison, chart, chart.comparison)
        return to_png(self._figure)


def draw_loss_curve(history: Mapping[str, Sequence[float]]) -> bytes:
    """Draw training and validation loss by training step, with the best step marked: 900 x 400 pixels, PNG.

    Args:
        history: `step`, `loss` and `val_loss`, of equal length and not empty.
    """
    figure = Figure(figsize=_LOSS_INCHES, dpi=DPI, facecolor="white")
    axes = new_axes(figure, (0.085, 0.12, 0.755, 0.66))
    step, loss, val_loss = (np.asarray(history[key], dtype=float) for key in ("step", "loss", "val_loss"))
    best = int(np.nanargmin(val_loss))
    marker = "o" if len(step) == 1 else ""
    axes.axvline(step[best], color=GREY, linewidth=1, linestyle=DASHES)
    axes.plot(step, loss, color=BLUE, linewidth=2, marker=marker)
    axes.plot(step, val_loss, color=RED, linewidth=2, marker=marker)
    axes.plot(step[best], val_loss[best], "o", color=RED, markersize=8)
    frame(axes, (step[0], max(step[-1], step[0] + 1)), np.concatenate([loss, val_loss]))
    mark_steps(axes)
    label_ends(axes, [(loss[-1], "training", BLUE), (val_loss[-1], "validation", RED)])
    best_words = f"best at step {step[best]:,.0f}, validation loss {val_loss[best]:.4g}"
    write(axes, (0.02, 0.9), 15, [("Loss by training step", INK, "bold")])
    write(axes, (0.02, 0.83), 11, [(best_words, MUTED, "normal")])
    return to_png(figure)


def _draw_forecast(axes: Axes, chart: SeriesChart) -> None:
    """Draw recent actual prices up to the cutoff, and the forecast after it."""
    recent = min(RECENT_BARS, 40 + 3 * len(chart.forecast_ds))
    y = chart.y[-recent:]
    ds = np.concatenate([chart.ds[-recent:], chart.forecast_ds])
    now = len(y) - 1
    draw_fan(axes, now, chart.y_cutoff, chart.quantiles)
    axes.plot(np.arange(len(y)), y, color=BLUE, linewidth=2)
    axes.plot(now, chart.y_cutoff, "o", color=BLUE, markersize=6)
    frame(axes, (0, len(ds) - 1), np.concatenate([y, chart.quantiles.ravel()]))
    axes.set_xticks(*mark_times(ds, daily=chart.daily, at_most=8))
    ends = [chart.quantiles[-1][position] for position in (HIGH_80, MEDIAN, LOW_80)]
    label_ends(axes, [(end, format_price(end, chart.price_size), RED) for end in ends])


def _write_forecast_title(axes: Axes, chart: SeriesChart) -> None:
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
        (name, INK, "bold"),
        (format_price(chart.y_cutoff, chart.price_size), BLUE, "bold"),
        ("→", MUTED, "normal"),
        (median, RED, "bold"),
    ]
    outlook = f"median {change} in {_bars(chart.forecast_ds)}, by {until}; 80% range {low} to {high}"
    legend = (
        f"blue: {chart.price_label}, to {since}.  red: {chart.model}, median with 60, 80 and 90% intervals"
    )
    write(axes, (_LEFT, 0.89), 24 if len(name) <= _ID_SHORT else 15, title)
    write(axes, (_LEFT, 0.807), 11.5, [(outlook, INK, "normal")])
    write(axes, (_LEFT, 0.03), 10, [(legend, MUTED, "normal")])


def _draw_comparison(axes: Axes, chart: SeriesChart, past: Comparison) -> None:
    """Draw the actual prices over the earlier forecast and the random walk's line."""
    before = np.flatnonzero(chart.ds < past.cutoff)[-max(12, len(past.ds) // 2) :]
    y = np.concatenate([chart.y[before], [past.y_cutoff], past.y])
    ds = np.concatenate([chart.ds[before], [past.cutoff], past.ds])
    then = len(before)
    draw_fan(axes, then, past.y_cutoff, past.quantiles)
    axes.plot([then, len(ds) - 1], [past.y_cutoff] * 2, color=GREY, linewidth=1.8, linestyle=DASHES)
    axes.plot(np.arange(len(y)), y, color=BLUE, linewidth=2)
    axes.plot(then, past.y_cutoff, "o", color=BLUE, markersize=6)
    frame(axes, (0, len(ds) - 1), np.concatenate([y, past.quantiles.ravel()]))
    axes.set_xticks(*mark_times(ds, daily=chart.daily, at_most=5))
    actual, median = y[np.isfinite(y)][-1], past.quantiles[-1][MEDIAN]
    ends = [(actual, "actual", BLUE), (median, "median", RED), (past.y_cutoff, "random walk", GREY)]
    label_ends(axes, ends)
    _write_comparison_title(axes, chart, past)


def _write_comparison_title(axes: Axes, chart: SeriesChart, past: Comparison) -> None:
    made_on = format_date(to_datetime(past.cutoff), daily=chart.daily)
    skill = f"skill {format_percent(past.skill, signed=True)} against the random walk"
    write(axes, (_MIDDLE, 0.9), 15, [(f"Forecast of {made_on}", INK, "bold")])
    write(axes, (_MIDDLE, 0.853), 10, [(past.origin, MUTED, "normal")])
    write(axes, (_MIDDLE, 0.807), 10, [(skill, MUTED, "normal")])
    write(axes, (_MIDDLE, 0.03), 10, [(f"panel {chart.panel}", MUTED, "normal")])


def _draw_absence(axes: Axes, reason: str) -> None:
    axes.set_axis_off()
    write(axes, (_MIDDLE, 0.9), 15, [("No earlier forecast to show", INK, "bold")])
    for line, words in enumerate(textwrap.wrap(reason, 50)):
        write(axes, (_MIDDLE, 0.846 - 0.045 * line), 10.5, [(words, MUTED, "normal")])


def _bars(ds: np.ndarray) -> str:
    return "1 bar" if len(ds) == 1 else f"{len(ds)} bars"
