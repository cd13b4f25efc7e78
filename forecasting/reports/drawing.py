"""Drawing helpers for charts: colours, minimal axes, text and PNG output.

Every property is set here, so that neither pyplot's state nor a user's `matplotlibrc` has an effect. Actual
prices are blue, predicted ones red.
"""

import io
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import MaxNLocator
from PIL import Image

from forecasting.formats import format_number
from forecasting.quantiles import MEDIAN

INK = "#202124"
MUTED = "#5f6368"
BLUE = "#1559b3"
RED = "#c5221f"
GREY = "#73777c"
DASHES = (0, (4, 3))
DPI = 100

_HAIRLINE = "#e3e5e8"
# For each interval, widest first: the positions of its two quantiles in `forecasting.quantiles`, its tint.
_BANDS = ((0, 10, "#fce8e6"), (1, 9, "#f8cfcb"), (2, 8, "#f2aca6"))
_FONT = "DejaVu Sans"  # comes with matplotlib
# `parse_math` is off, because an id or label may contain dollar signs.
_TEXT: dict[str, Any] = {"fontfamily": _FONT, "annotation_clip": False, "parse_math": False}
_LINE_SHARE = 0.068  # height of a line of text, as a share of the axes' height
_COLORS = 256

Words = tuple[str, str, str]  # words, their colour, their weight


def draw_fan(axes: Axes, start: int, y_start: float, quantiles: np.ndarray) -> None:
    """Draw intervals and median, which open from the price `y_start` at the bar `start`."""
    fan = np.vstack([np.full(quantiles.shape[1], y_start), quantiles])
    x = np.arange(start, start + len(fan))
    for low, high, tint in _BANDS:
        axes.fill_between(x, fan[:, low], fan[:, high], color=tint, linewidth=0)
    axes.plot(x, fan[:, MEDIAN], color=RED, linewidth=2.4)


def new_axes(figure: Figure, place: tuple[float, float, float, float]) -> Axes:
    """Return minimal axes: a base line and horizontal hairlines."""
    axes = figure.add_axes(place)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.tick_params(
        length=0,
        labelsize=10,
        labelcolor=MUTED,
        labelfontfamily=_FONT,
        pad=6,
        grid_color=_HAIRLINE,
        grid_linewidth=1,
    )
    axes.tick_params(axis="x", length=4, color=GREY, pad=3)
    axes.grid(visible=True, axis="y")
    axes.set_axisbelow(True)
    return axes


def wipe(axes: Axes) -> None:
    """Remove everything drawn on the axes. `Axes.clear` would also build ticks and spines again, slowly."""
    for artist in (*axes.lines, *axes.collections, *axes.texts):
        artist.remove()


def frame(axes: Axes, x_range: tuple[float, float], values: np.ndarray, unit: str = "") -> None:
    """Set the limits around `values`, and mark a few round values with their `unit`."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = (high - low) * 0.06 or abs(high) * 0.01 or 1.0
    low, high = low - margin, high + margin
    ticks = _round_values(MaxNLocator(6, steps=[1, 2, 5, 10]), low, high)
    decimals = max(0, math.ceil(-math.log10(ticks[1] - ticks[0]) - 1e-9))
    axes.set_yticks(ticks, [f"{format_number(tick, decimals)}{unit}" for tick in ticks])
    axes.set_xlim(*x_range)
    axes.set_ylim(low, high)


def mark_steps(axes: Axes) -> None:
    """Mark a few round whole numbers on the x axis."""
    ticks = _round_values(MaxNLocator(6, integer=True), *axes.get_xlim())
    axes.set_xticks(ticks, [format_number(tick, 0) for tick in ticks])


def _round_values(locator: MaxNLocator, low: float, high: float) -> np.ndarray:
    values = np.asarray(locator.tick_values(low, high))
    return values[(values >= low) & (values <= high)]


def label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write labels (value, words, colour) right of the axes, each at its value or as near as is legible."""
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


def write(axes: Axes, place: tuple[float, float], size: float, words: Sequence[Words]) -> None:
    """Write (words, colour, weight) side by side, starting at `place`, in shares of the figure."""
    x, offset = place[0], 0.0
    after: Any = "figure fraction"  # later words are placed relative to the words before
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
    """`text` with a question mark in place of every character that the font lacks."""
    return "".join(letter if ord(letter) in _glyphs() else "?" for letter in text)


@cache
def _glyphs() -> frozenset[int]:
    fonts = [FontProperties(family=_FONT, weight=weight) for weight in ("normal", "bold")]
    regular, bold = (set(get_font(findfont(font)).get_charmap()) for font in fonts)
    return frozenset(regular & bold)


def to_png(figure: Figure) -> bytes:
    """Return the figure as PNG with a palette of 256 colours, a third of the size of full colour."""
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib has no types for the canvas
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    reduced = pixels.quantize(_COLORS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    reduced.save(buffer, "png")
    return buffer.getvalue()
