import io

import numpy as np
from PIL import Image

from forecasting.reports.canvas import Box, Canvas, parted
from forecasting.reports.colors import BANDS, BLUE, GREY, HAIRLINE, INK, MUTED, RED


def pixels(canvas: Canvas) -> np.ndarray:
    with Image.open(io.BytesIO(canvas.png())) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def written(words: str, room: float, align: float = 0.0) -> np.ndarray:
    """The columns with ink of a text at 400 of 800 pixels."""
    canvas = Canvas(800, 60)
    canvas.write((400, 40), 15, [(words, INK, True)], room=room, align=align)
    return np.flatnonzero((pixels(canvas) < 200).any(axis=(0, 2)))


def test_every_colour_of_a_chart_keeps_its_value() -> None:
    for color in ("#ffffff", INK, MUTED, BLUE, RED, GREY, HAIRLINE, *(tint for *_, tint in BANDS)):
        canvas = Canvas(20, 20)
        canvas.fill(np.array([(-1, -1), (21, -1), (21, 21), (-1, 21)]), color)
        assert pixels(canvas)[10, 10].tolist() == list(bytes.fromhex(color[1:]))


def test_a_text_is_aligned_at_its_place() -> None:
    left, middle, right = (written("forecast", 400, align) for align in (0, 0.5, 1))
    assert abs(left.min() - 400) < 4
    assert abs((middle.min() + middle.max()) / 2 - 400) < 4
    assert abs(right.max() - 400) < 4


def test_a_text_that_is_too_wide_is_written_smaller_then_cut() -> None:
    whole, smaller, cut = (np.ptp(written("forecast of many letters", room)) for room in (400, 200, 60))
    assert 150 < smaller < 200 < whole
    assert 30 < cut < 60


def test_a_line_in_parts_has_gaps_and_ends_at_the_clip() -> None:
    canvas = Canvas(100, 40)
    lines = parted([[(5, 20), (30, 20)], [(50, 20), (95, 20)]])
    canvas.line(lines, BLUE, 2, clip=Box(0, 0, 80, 40))
    columns = np.flatnonzero((pixels(canvas)[20] < 200).any(axis=1))
    assert {10, 25, 55, 75} < set(columns.tolist())
    assert not {40, 85} & set(columns.tolist())
