"""Drawing helpers for charts on a matplotlib figure: minimal axes, text and PNG output.

Every property is set here, so that neither pyplot's state nor a user's `matplotlibrc` has an effect. Series
charts, of which there may be thousands, are drawn on a `canvas` instead.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from forecasting.formats import format_number
from forecasting.quantiles import MEDIAN
from forecasting.reports import colors
from forecasting.reports.colors import BANDS, GREY, HAIRLINE, MUTED, RED
from forecasting.reports.fonts import FAMILY, drawable
from forecasting.reports.value_axis import label_values, limits, round_values, spread

DASHES = (0, colors.DASHES)
DPI = 100

# `parse_math` is off, because an id or label may contain dollar signs.
_TEXT: dict[str, Any] = {"fontfamily": FAMILY, "annotation_clip": False, "parse_math": False}
_LINE_SHARE = 0.068  # height of a line of text, as a share of the axes' height
_COLORS = 256

Words = tuple[str, str, str]  # words, their colour, their weight


def draw_fan(axes: Axes, start: int, y_start: float, quantiles: np.ndarray) -> None:
    """Draw intervals and median, which open from the price `y_start` at the bar `start`."""
    fan = np.vstack([np.full(quantiles.shape[1], y_start), quantiles])
    x = np.arange(start, start + len(fan))
    for low, high, tint in BANDS:
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
        labelfontfamily=FAMILY,
        pad=6,
        grid_color=HAIRLINE,
        grid_linewidth=1,
    )
    axes.tick_params(axis="x", length=4, color=GREY, pad=3)
    axes.grid(visible=True, axis="y")
    axes.set_axisbelow(True)
    return axes


def frame(axes: Axes, x_range: tuple[float, float], values: np.ndarray, unit: str = "") -> None:
    """Set the limits around `values`, and mark a few round values with their `unit`."""
    low, high = limits(values)
    ticks = round_values(low, high)
    axes.set_yticks(ticks, label_values(ticks, unit))
    axes.set_xlim(*x_range)
    axes.set_ylim(low, high)


def mark_steps(axes: Axes) -> None:
    """Mark a few round whole numbers on the x axis."""
    low, high = axes.get_xlim()
    values = np.asarray(MaxNLocator(6, integer=True).tick_values(low, high))
    ticks = values[(values >= low) & (values <= high)]
    axes.set_xticks(ticks, [format_number(tick, 0) for tick in ticks])


def label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write labels (value, words, colour) right of the axes, each at its value or as near as is legible."""
    low, high = axes.get_ylim()
    places = spread([value for value, _, _ in ends], (high - low) * _LINE_SHARE)
    for place, (_, words, color) in zip(places, ends, strict=True):
        axes.annotate(
            drawable(words),
            (1, place),
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
            drawable(text),
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


def to_png(figure: Figure) -> bytes:
    """Return the figure as PNG with a palette of 256 colours, a third of the size of full colour."""
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib has no types for the canvas
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    reduced = pixels.quantize(_COLORS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    reduced.save(buffer, "png")
    return buffer.getvalue()
