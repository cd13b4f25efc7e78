"""A plot of a series on a canvas: a base line, horizontal hairlines, a fan, lines, and labels beside them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from forecasting.quantiles import MEDIAN
from forecasting.reports.canvas import ONE_PIXEL, Box, Canvas, parted, text_width
from forecasting.reports.colors import BANDS, BLUE, GREY, HAIRLINE, MUTED, RED
from forecasting.reports.value_axis import label_values, limits, round_values, spread

_SIZE, _LABEL_SIZE = 10, 11  # points of the marks' names, and of the labels at the ends of lines
_DIGIT_MIDDLE = 5  # pixels from a base line to the middle of its digits
_LINE = 19.5  # pixels from one label to the next
_PAD = 8  # pixels between the plot and the text beside it
_MARK = 5.5  # pixels; the length of a mark below the base line
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Plot:
    """A plot of values by bar, on a canvas.

    Args:
        canvas: is drawn on.
        box: the plot's place on it. Names and labels are outside.
        bars: the number of bars; the first is at the left end, the last at the right end.
        values: that the plot must show. NaN is ignored.
        rooms: the pixels for the names of values, left of the plot, and for the labels right of it.
    """

    def __init__(
        self, canvas: Canvas, box: Box, bars: int, values: np.ndarray, rooms: tuple[float, float]
    ) -> None:
        self._canvas, self._box, self._rooms = canvas, box, rooms
        self._low, self._high = limits(values)
        self._bar_width = (box.right - box.left) / (bars - 1)
        self._mark_values()

    def fan(self, start: int, y_start: float, quantiles: np.ndarray) -> None:
        """Draw intervals and median (H, 11), which open from the price `y_start` at the bar `start`."""
        fan = np.vstack([np.full(quantiles.shape[1], y_start), quantiles])
        x = np.arange(start, start + len(fan))
        for low, high, tint in BANDS:
            edge = np.concatenate([self._points(x, fan[:, low]), self._points(x, fan[:, high])[::-1]])
            self._canvas.fill(edge, tint, self._box)
        self.line(x, fan[:, MEDIAN], RED, 2.4)

    def line(self, x: np.ndarray, y: np.ndarray, color: str, width: float, *, dashed: bool = False) -> None:
        """Draw the values `y` at the bars `x`."""
        self._canvas.line(self._points(x, y), color, width, dashed=dashed, clip=self._box)

    def prices(self, y: np.ndarray, last_known: int) -> None:
        """Draw prices from the first bar on, with a dot at the last bar that a forecast knows."""
        self.line(np.arange(len(y)), y, BLUE, 2)
        self._canvas.dot(self._x(last_known), self._y(y[last_known]), BLUE, 7)

    def mark_times(self, positions: np.ndarray, names: Sequence[str]) -> None:
        """Draw the base line, and the marks and names of two lines that `time_axis.mark_times` gives."""
        left, _, right, bottom = self._box
        marks = [self._x(position) for position in positions.tolist()]
        for x, name in zip(marks, names, strict=True):
            for row, words in enumerate(name.split("\n")):
                place = x, bottom + 21 + 17 * row
                self._canvas.write(place, _SIZE, [(words, MUTED, False)], room=math.inf, align=0.5)
        lines = [[(x, bottom), (x, bottom + _MARK)] for x in marks]
        self._canvas.line(parted([*lines, [(left, bottom), (right, bottom)]]), GREY, ONE_PIXEL)

    def label_ends(self, ends: Sequence[tuple[float, str, str]]) -> None:
        """Write labels (value, words, colour) right of the plot, each as near to its value as is legible."""
        heights = spread([-self._y(value) for value, _, _ in ends], _LINE)
        room = self._rooms[1] - _PAD
        for height, (_, words, color) in zip(heights, ends, strict=True):
            place = self._box.right + _PAD, _DIGIT_MIDDLE - height
            self._canvas.write(place, _LABEL_SIZE, [(words, color, True)], room=room)

    def _mark_values(self) -> None:
        """Draw hairlines at round values, and write these left of the plot: long ones in powers of ten."""
        left, top, right, _ = self._box
        end, room = left - _PAD, self._rooms[0] - _PAD
        values = round_values(self._low, self._high)
        names = label_values(values)
        if max(text_width(name, _SIZE) for name in names) > room:
            power = math.floor(math.log10(np.abs(values).max()))
            names = label_values(values / 10.0**power)
            note = f"\N{MULTIPLICATION SIGN} 10{str(power).translate(_SUPERSCRIPTS)}"
            self._canvas.write((end, top - 8), _SIZE, [(note, MUTED, False)], room=room, align=1)
        heights = [self._y(value) for value in values.tolist()]
        for y, name in zip(heights, names, strict=True):
            place = end, y + _DIGIT_MIDDLE
            self._canvas.write(place, _SIZE, [(name, MUTED, False)], room=room, align=1)
        self._canvas.line(parted([[(left, y), (right, y)] for y in heights]), HAIRLINE, ONE_PIXEL)

    def _points(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(N, 2) the pixels of the values `y` at the bars `x`."""
        return np.stack([self._x(x), self._y(y)], axis=-1)

    def _x(self, bar: Any) -> Any:
        return self._box.left + bar * self._bar_width

    def _y(self, value: Any) -> Any:
        share = (value - self._low) / (self._high - self._low)
        return self._box.bottom - share * (self._box.bottom - self._box.top)
