"""Charts: a series' forecast beside what an earlier one turned out to be worth, and a model's loss curve.

Pure functions from data to PNG bytes; the same data gives the same bytes. Blue is what was, red what was
predicted. Every property is set here, so neither pyplot's state nor a user's `matplotlibrc` plays a part.
"""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import MaxNLocator
from PIL import Image

from forecasting.publishing.formats import (
    format_change,
    format_date,
    format_number,
    format_percent,
    format_price,
    price_size,
)
from forecasting.publishing.time_axis import mark_times, to_datetime
from forecasting.quantiles import MEDIAN

RECENT_BARS = 250  # drawn before a forecast of 72 steps; fewer before a shorter one

_INCHES = (12.0, 5.0)
_LOSS_INCHES = (9.0, 4.0)
_DPI = 100

_INK = "#202124"
_MUTED = "#5f6368"
_HAIRLINE = "#e3e5e8"
_BLUE = "#1559b3"
_RED = "#c5221f"
_GREY = "#73777c"
# Each band's two quantiles among the eleven of `forecasting.quantiles`, widest band first, and its tint.
_BANDS = ((0, 10, "#fce8e6"), (1, 9, "#f8cfcb"), (2, 8, "#f2aca6"))
_LOW_80, _HIGH_80 = 1, 9

_DASHES = (0, (4, 3))

_FONT = "DejaVu Sans"  # comes with matplotlib
# `parse_math`: an id or label may hold dollar signs.
_TEXT: dict[str, Any] = {"fontfamily": _FONT, "annotation_clip": False, "parse_math": False}
_Words = tuple[str, str, str]  # words, their colour, their weight
_ID_SHORT, _ID_LONGEST = 10, 24
_LEFT, _MIDDLE = 0.015, 0.63  # where the words of the two panels begin, as a share of the width
_LINE_SHARE = 0.068  # the height of a line of text, as a share of the axes'
_COLORS = 256


@dataclass(frozen=True)
class Comparison:
    """An earlier forecast of a series, and what then happened.

    Attributes:
        cutoff: the last bar that forecast knew, UTC.
        y_cutoff: its price, where the random walk stays.
        ds: (H,) datetime64; the bars forecast, UTC.
        y: (H,) float64; what then happened, in price units; NaN where there was no bar.
        quantiles: (H, 11) float64; what was forecast, in price units, at `forecasting.quantiles.LEVELS`.
        origin: how it was made ("made on holdout bars the model did not train on", "published 2026-07-20").
        skill: its skill against the random walk over these bars, or None.
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
    """What the chart of one series shows.

    Attributes:
        unique_id: the series.
        panel: its panel's name.
        price_label: what the prices are ("close", "USD per EUR").
        ds: (N,) datetime64; recent bars, UTC, up to the cutoff; `RECENT_BARS` of them are drawn.
        y: (N,) float64; their prices.
        cutoff: the last bar the forecast knows, UTC.
        y_cutoff: its price.
        forecast_ds: (H,) datetime64; the bars forecast, UTC.
        quantiles: (H, 11) float64; price quantiles at `forecasting.quantiles.LEVELS`.
        model: who forecasts.
        comparison: an earlier forecast over what then happened, or None.
        no_comparison: why there is none.
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
        """What the decimals of its prices suit."""
        return price_size(self.y_cutoff, self.quantiles[-1][_LOW_80], self.quantiles[-1][_HIGH_80])

    @property
    def daily(self) -> bool:
        """Whether every bar starts at midnight, so that dates say all there is to say."""
        times = np.concatenate([self.ds[-RECENT_BARS:], self.forecast_ds])
        return bool((times == times.astype("datetime64[D]")).all())


class SeriesChartPainter:
    """Draws series charts one after the other on one figure, as making one for each takes longer.

    Not for several threads at once: make one painter for each.
    """

    def __init__(self) -> None:
        self._figure = Figure(figsize=_INCHES, dpi=_DPI, facecolor="white")
        self._forecast = _new_axes(self._figure, (0.072, 0.165, 0.448, 0.575))
        self._comparison = _new_axes(self._figure, (0.685, 0.165, 0.207, 0.575))

    def draw(self, chart: SeriesChart) -> bytes:
        """The chart of one series: 1200 x 500 pixels, PNG."""
        for axes in (self._forecast, self._comparison):
            _wipe(axes)
        _draw_forecast(self._forecast, chart)
        _write_forecast_title(self._forecast, chart)
        self._comparison.set_axis_on()
        if chart.comparison is None:
            _draw_absence(self._comparison, chart.no_comparison)
        else:
            _draw_comparison(self._comparison, chart, chart.comparison)
        return _to_png(self._figure)


def draw_loss_curve(history: Mapping[str, Sequence[float]]) -> bytes:
    """The training and validation loss against training steps, the best step marked: 900 x 400 pixels, PNG.

    Args:
        history: `step`, `loss` and `val_loss`, equally long and not empty.
    """
    figure = Figure(figsize=_LOSS_INCHES, dpi=_DPI, facecolor="white")
    axes = _new_axes(figure, (0.085, 0.12, 0.755, 0.66))
    step, loss, val_loss = (np.asarray(history[key], dtype=float) for key in ("step", "loss", "val_loss"))
    best = int(np.nanargmin(val_loss))
    marker = "o" if len(step) == 1 else ""
    axes.axvline(step[best], color=_GREY, linewidth=1, linestyle=_DASHES)
    axes.plot(step, loss, color=_BLUE, linewidth=2, marker=marker)
    axes.plot(step, val_loss, color=_RED, linewidth=2, marker=marker)
    axes.plot(step[best], val_loss[best], "o", color=_RED, markersize=8)
    _frame(axes, (step[0], max(step[-1], step[0] + 1)), np.concatenate([loss, val_loss]))
    _mark_steps(axes)
    _label_ends(axes, [(loss[-1], "training", _BLUE), (val_loss[-1], "validation", _RED)])
    best_words = f"best at step {step[best]:,.0f}, validation loss {val_loss[best]:.4g}"
    _write(axes, (0.02, 0.9), 15, [("Loss by training step", _INK, "bold")])
    _write(axes, (0.02, 0.83), 11, [(best_words, _MUTED, "normal")])
    return _to_png(figure)


def _draw_forecast(axes: Axes, chart: SeriesChart) -> None:
    """Recent actual prices up to the cutoff, and the forecast from there."""
    recent = min(RECENT_BARS, 40 + 3 * len(chart.forecast_ds))
    y = chart.y[-recent:]
    ds = np.concatenate([chart.ds[-recent:], chart.forecast_ds])
    now = len(y) - 1
    _draw_fan(axes, now, chart.y_cutoff, chart.quantiles)
    axes.plot(np.arange(len(y)), y, color=_BLUE, linewidth=2)
    axes.plot(now, chart.y_cutoff, "o", color=_BLUE, markersize=6)
    _frame(axes, (0, len(ds) - 1), np.concatenate([y, chart.quantiles.ravel()]))
    axes.set_xticks(*mark_times(ds, daily=chart.daily, at_most=8))
    ends = [chart.quantiles[-1][position] for position in (_HIGH_80, MEDIAN, _LOW_80)]
    _label_ends(axes, [(end, format_price(end, chart.price_size), _RED) for end in ends])


def _write_forecast_title(axes: Axes, chart: SeriesChart) -> None:
    median, low, high = (
        format_price(chart.quantiles[-1][position], chart.price_size)
        for position in (MEDIAN, _LOW_80, _HIGH_80)
    )
    change = format_change(chart.quantiles[-1][MEDIAN], chart.y_cutoff)
    until = format_date(to_datetime(chart.forecast_ds[-1]), daily=chart.daily)
    since = format_date(to_datetime(chart.cutoff), daily=chart.daily)
    name = chart.unique_id
    if len(name) > _ID_LONGEST:
        name = name[: _ID_LONGEST - 1] + "…"
    title = [
        (name, _INK, "bold"),
        (format_price(chart.y_cutoff, chart.price_size), _BLUE, "bold"),
        ("→", _MUTED, "normal"),
        (median, _RED, "bold"),
    ]
    outlook = f"median {change} in {_bars(chart.forecast_ds)}, by {until}; 80% range {low} to {high}"
    legend = f"blue: {chart.price_label}, to {since}.  red: {chart.model}, median with 60, 80 and 90% bands"
    _write(axes, (_LEFT, 0.89), 24 if len(name) <= _ID_SHORT else 15, title)
    _write(axes, (_LEFT, 0.807), 11.5, [(outlook, _INK, "normal")])
    _write(axes, (_LEFT, 0.03), 10, [(legend, _MUTED, "normal")])


def _draw_comparison(axes: Axes, chart: SeriesChart, past: Comparison) -> None:
    """The earlier forecast and the random walk's line, over what then happened."""
    before = np.flatnonzero(chart.ds < past.cutoff)[-max(12, len(past.ds) // 2) :]
    y = np.concatenate([chart.y[before], [past.y_cutoff], past.y])
    ds = np.concatenate([chart.ds[before], [past.cutoff], past.ds])
    then = len(before)
    _draw_fan(axes, then, past.y_cutoff, past.quantiles)
    axes.plot([then, len(ds) - 1], [past.y_cutoff] * 2, color=_GREY, linewidth=1.8, linestyle=_DASHES)
    axes.plot(np.arange(len(y)), y, color=_BLUE, linewidth=2)
    axes.plot(then, past.y_cutoff, "o", color=_BLUE, markersize=6)
    _frame(axes, (0, len(ds) - 1), np.concatenate([y, past.quantiles.ravel()]))
    axes.set_xticks(*mark_times(ds, daily=chart.daily, at_most=5))
    actual, median = y[np.isfinite(y)][-1], past.quantiles[-1][MEDIAN]
    ends = [(actual, "actual", _BLUE), (median, "median", _RED), (past.y_cutoff, "random walk", _GREY)]
    _label_ends(axes, ends)
    _write_comparison_title(axes, chart, past)


def _write_comparison_title(axes: Axes, chart: SeriesChart, past: Comparison) -> None:
    said_on = format_date(to_datetime(past.cutoff), daily=chart.daily)
    skill = f"skill here {format_percent(past.skill, signed=True)} against the random walk"
    _write(axes, (_MIDDLE, 0.9), 15, [(f"What it said on {said_on}", _INK, "bold")])
    _write(axes, (_MIDDLE, 0.853), 10, [(past.origin, _MUTED, "normal")])
    _write(axes, (_MIDDLE, 0.807), 10, [(skill, _MUTED, "normal")])
    _write(axes, (_MIDDLE, 0.03), 10, [(f"panel {chart.panel}", _MUTED, "normal")])


def _draw_absence(axes: Axes, reason: str) -> None:
    axes.set_axis_off()
    _write(axes, (_MIDDLE, 0.9), 15, [("No earlier forecast to show", _INK, "bold")])
    for line, words in enumerate(textwrap.wrap(reason, 50)):
        _write(axes, (_MIDDLE, 0.846 - 0.045 * line), 10.5, [(words, _MUTED, "normal")])


def _draw_fan(axes: Axes, start: int, y_start: float, quantiles: np.ndarray) -> None:
    """Bands and median, opening from the price that they start from, at the bar `start`."""
    fan = np.vstack([np.full(quantiles.shape[1], y_start), quantiles])
    x = np.arange(start, start + len(fan))
    for low, high, tint in _BANDS:
        axes.fill_between(x, fan[:, low], fan[:, high], color=tint, linewidth=0)
    axes.plot(x, fan[:, MEDIAN], color=_RED, linewidth=2.4)


def _new_axes(figure: Figure, place: tuple[float, float, float, float]) -> Axes:
    """Axes with little ink: a line to stand on and horizontal hairlines."""
    axes = figure.add_axes(place)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GREY)
    axes.tick_params(
        length=0,
        labelsize=10,
        labelcolor=_MUTED,
        labelfontfamily=_FONT,
        pad=6,
        grid_color=_HAIRLINE,
        grid_linewidth=1,
    )
    axes.tick_params(axis="x", length=4, color=_GREY, pad=3)
    axes.grid(visible=True, axis="y")
    axes.set_axisbelow(True)
    return axes


def _wipe(axes: Axes) -> None:
    """Take away what was drawn, and keep the axes: clearing them would build ticks and spines anew."""
    for artist in (*axes.lines, *axes.collections, *axes.texts):
        artist.remove()


def _frame(axes: Axes, x_range: tuple[float, float], values: np.ndarray) -> None:
    """Set the limits around `values`, with a few round prices marked."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = (high - low) * 0.06 or abs(high) * 0.01 or 1.0
    low, high = low - margin, high + margin
    ticks = _round_values(MaxNLocator(6, steps=[1, 2, 5, 10]), low, high)
    decimals = max(0, math.ceil(-math.log10(ticks[1] - ticks[0]) - 1e-9))
    axes.set_yticks(ticks, [format_number(tick, decimals) for tick in ticks])
    axes.set_xlim(*x_range)
    axes.set_ylim(low, high)


def _mark_steps(axes: Axes) -> None:
    ticks = _round_values(MaxNLocator(6, integer=True), *axes.get_xlim())
    axes.set_xticks(ticks, [format_number(tick, 0) for tick in ticks])


def _round_values(locator: MaxNLocator, low: float, high: float) -> np.ndarray:
    values = np.asarray(locator.tick_values(low, high))
    return values[(values >= low) & (values <= high)]


def _label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write (value, words, colour) to the right of the axes, each at its value or as near as is legible."""
    low, high = axes.get_ylim()
    gap = (high - low) * _LINE_SHARE
    ends = sorted(ends, key=lambda end: end[0])
    places: list[float] = []
    for value, _, _ in ends:
        places.append(max(value, places[-1] + gap) if places else value)
    excess = float(np.mean(np.array(places) - [value for value, _, _ in ends]))
    for place, (_, words, color) in zip(places, ends, strict=True):
        axes.annotate(
            _drawable(words),
            (1, place - excess),
            xycoords=axes.get_yaxis_transform(),
            xytext=(6, 0),
            textcoords="offset points",
            verticalalignment="center",
            color=color,
            fontsize=11,
            fontweight="bold",
            **_TEXT,
        )


def _write(axes: Axes, place: tuple[float, float], size: float, words: Sequence[_Words]) -> None:
    """Write (words, colour, weight) one after the other, the first one at `place`, a share of the figure."""
    x, offset = place[0], 0.0
    after: Any = "figure fraction"  # and then the words before
    for text, color, weight in words:
        written = axes.annotate(
            _drawable(text),
            (x, place[1]),
            xycoords=(after, "figure fraction"),
            xytext=(offset, 0),
            textcoords="offset points",
            color=color,
            fontsize=size,
            fontweight=weight,
            **_TEXT,
        )
        x, offset, after = 1, size * 0.45, written


def _drawable(text: str) -> str:
    """`text` with a question mark for every character that the font cannot draw."""
    return "".join(letter if ord(letter) in _glyphs() else "?" for letter in text)


@cache
def _glyphs() -> frozenset[int]:
    fonts = [FontProperties(family=_FONT, weight=weight) for weight in ("normal", "bold")]
    regular, bold = (set(get_font(findfont(font)).get_charmap()) for font in fonts)
    return frozenset(regular & bold)


def _bars(ds: np.ndarray) -> str:
    return "1 bar" if len(ds) == 1 else f"{len(ds)} bars"


def _to_png(figure: Figure) -> bytes:
    """The figure's pixels in a palette of their commonest colours: a third of the size of full colour."""
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib has no types for it
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    reduced = pixels.quantize(_COLORS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    reduced.save(buffer, "png")
    return buffer.getvalue()
