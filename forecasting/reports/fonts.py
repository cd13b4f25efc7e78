"""The font of all charts, DejaVu Sans, which comes with matplotlib."""

from functools import cache
from pathlib import Path

from matplotlib import get_data_path
from matplotlib.ft2font import FT2Font

FAMILY = "DejaVu Sans"

_FILES = {False: "DejaVuSans.ttf", True: "DejaVuSans-Bold.ttf"}


def font_file(*, bold: bool) -> Path:
    """Return the file of the regular or of the bold font."""
    return Path(get_data_path(), "fonts", "ttf", _FILES[bold])


def drawable(text: str) -> str:
    """Return `text` with a question mark in place of every character that the font lacks."""
    return "".join(letter if ord(letter) in _glyphs() else "?" for letter in text)


@cache
def _glyphs() -> frozenset[int]:
    regular, bold = (set(FT2Font(str(font_file(bold=bold))).get_charmap()) for bold in (False, True))
    return frozenset(regular & bold)
