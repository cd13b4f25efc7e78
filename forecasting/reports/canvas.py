"""A picture that is drawn path by path and text by text, for charts that are drawn by the thousand.

A matplotlib figure spends most of its time on laying out ticks and on text. Here, matplotlib's rasteriser Agg
draws the paths, and Pillow the text and the PNG file. All places are in pixels from the top left corner.
"""

import io
import itertools
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import to_rgba
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Bbox
from PIL import Image, ImageColor, ImageDraw, ImageFont

from forecasting.reports import colors
from forecasting.reports.fonts import drawable, font_file

_Renderer: Any = RendererAgg  # matplotlib has no types for it
_DPI = 100
ONE_PIXEL = 72 / _DPI  # in points
_SMALLEST_TEXT = 7.0  # points
_COMPRESSION = 4  # of 9: a third less time than the default of 6, for 5% more bytes
_SHADES = 7  # of the edge between two colours
_SAME = 7  # of 255: two shades that differ by no more are one


class Box(NamedTuple):
    """A rectangle, in pixels."""

    left: float
    top: float
    right: float
    bottom: float


class Canvas:
    """A white picture.

    Paths are drawn in the order of the calls, and all text over them. Widths and sizes are in points.
    """

    def __init__(self, width: int, height: int) -> None:
        self._size = width, height
        self._agg = _Renderer(width, height, _DPI)
        self._downwards = Affine2D().scale(1, -1).translate(0, height)
        self._texts: list[tuple[float, float, _Text, str]] = []
        np.asarray(self._agg.buffer_rgba())[:] = 255

    def fill(self, points: np.ndarray, color: str, clip: Box | None = None) -> None:
        """Fill the polygon with the corners `points` (N, 2)."""
        path = Path(np.vstack([points, points[:1]]), closed=True)
        self._agg.draw_path(self._pen(color, 0, clip), path, self._downwards, _rgb(color))

    def line(
        self, points: np.ndarray, color: str, width: float, *, dashed: bool = False, clip: Box | None = None
    ) -> None:
        """Draw a line through `points` (N, 2), with a gap where one is NaN: see `parted`."""
        pen = self._pen(color, width, clip)
        pen.set_joinstyle("round")
        pen.set_capstyle("butt" if dashed else "projecting")
        if dashed:
            pen.set_dashes(0, [width * length for length in colors.DASHES])
        self._agg.draw_path(pen, Path(points), self._downwards)

    def dot(self, x: float, y: float, color: str, diameter: float) -> None:
        """Draw a dot around a point."""
        radius = _pixels(diameter) / 2
        place = Affine2D().scale(radius).translate(x, y) + self._downwards
        self._agg.draw_path(self._pen(color, 0), Path.unit_circle(), place, _rgb(color))

    def write(
        self,
        place: tuple[float, float],
        size: float,
        words: Sequence[tuple[str, str, bool]],
        *,
        room: float,
        align: float = 0.0,
    ) -> None:
        """Write (words, colour, bold) side by side on one line.

        Where they do not fit, they are written smaller, and if that does not suffice, cut.

        Args:
            place: the left end of the base line, or its middle or right end: see `align`.
            size: of the letters.
            words: what to write.
            room: the widest that the line may be, in pixels.
            align: the share of the line that is left of `place`.
        """
        texts, width = _line(words, size)
        while width > room and size > _SMALLEST_TEXT:
            size -= 0.5
            texts, width = _line(words, size)
        while width > room and len(words[-1][0]) > 1:
            last, color, bold = words[-1]
            words = [*words[:-1], (f"{last[:-2]}…", color, bold)]
            texts, width = _line(words, size)
        x = place[0] - align * width
        for text, (_, color, _) in zip(texts, words, strict=True):
            self._texts.append((x, place[1], text, color))
            x += text.width + _space(size)

    def png(self) -> bytes:
        """Return the picture as PNG with a palette, a third of the size of full colour."""
        image = Image.frombytes("RGB", self._size, self._agg.buffer_rgba(), "raw", "RGBX")
        for x, y, text, color in self._texts:
            image.paste(color, (round(x) + text.left, round(y) + text.top), text.mask)
        reduced = image.quantize(palette=_palette(), dither=Image.Dither.NONE)
        buffer = io.BytesIO()
        reduced.save(buffer, "png", compress_level=_COMPRESSION)
        return buffer.getvalue()

    def _pen(self, color: str, width: float, clip: Box | None = None) -> Any:
        pen = self._agg.new_gc()
        pen.set_foreground(_rgb(color), isRGBA=True)
        pen.set_linewidth(width)
        if clip is not None:
            height = self._size[1]
            pen.set_clip_rectangle(Bbox([(clip.left, height - clip.bottom), (clip.right, height - clip.top)]))
        return pen


def parted(lines: Sequence[Sequence[tuple[float, float]]]) -> np.ndarray:
    """Return the points of several lines, to be drawn in one go."""
    return np.array([point for line in lines for point in (*line, (np.nan, np.nan))])


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a text, in pixels."""
    return _text(text, size, bold=bold).width


def _line(words: Sequence[tuple[str, str, bool]], size: float) -> tuple[list["_Text"], float]:
    """The texts of a line of (words, colour, bold), and its width."""
    texts = [_text(letters, size, bold=bold) for letters, _, bold in words]
    return texts, sum(text.width for text in texts) + _space(size) * (len(words) - 1)


class _Text(NamedTuple):
    """A text: how much of each pixel it covers, where that is relative to its base line, its width."""

    mask: Image.Image
    left: int
    top: int
    width: float


@lru_cache(512)  # charts of one panel have most texts in common
def _text(text: str, size: float, *, bold: bool) -> _Text:
    text, font = drawable(text), _font(size, bold=bold)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text, anchor="ls"))
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=font, anchor="ls")
    return _Text(mask, left, top, font.getlength(text))


def _space(size: float) -> float:
    """The pixels between words of different colours."""
    return _pixels(0.45 * size)


def _pixels(points: float) -> float:
    return points * _DPI / 72


@cache
def _font(size: float, *, bold: bool) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_file(bold=bold), _pixels(size))


@cache
def _rgb(color: str) -> tuple[float, float, float, float]:
    return to_rgba(color)


@cache
def _palette() -> Image.Image:
    """The colours of charts, and the shades of the edges where two of them meet."""
    outer, middle, inner = (tint for *_, tint in colors.BANDS)
    tints = ("#ffffff", outer, middle, inner)
    edges = [
        *((color, "#ffffff") for color in (colors.INK, colors.MUTED, colors.HAIRLINE)),
        *((color, tint) for color in (colors.BLUE, colors.RED, colors.GREY) for tint in tints),
        *((colors.BLUE, color) for color in (colors.RED, colors.GREY)),
        (colors.GREY, colors.RED),
        *itertools.combinations(tints, 2),
    ]
    ends = np.array([[ImageColor.getrgb(color) for color in edge] for edge in edges])
    share = np.linspace(0, 1, _SHADES + 2)[1:-1, None, None]
    shades = np.rint((1 - share) * ends[:, 0] + share * ends[:, 1])
    palette: list[np.ndarray] = []
    for color in np.concatenate([ends.reshape(-1, 3), shades.reshape(-1, 3)]):
        if all(np.abs(color - other).max() > _SAME for other in palette):
            palette.append(color)
    image = Image.new("P", (1, 1))
    image.putpalette(np.array(palette, dtype=np.uint8).tobytes())
    return image
