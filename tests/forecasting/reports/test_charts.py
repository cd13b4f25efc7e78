import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from forecasting.reports.charts import draw_series
from tests.series_charts import series_chart

BLUE, RED, GREY = (21, 89, 179), (197, 34, 31), (115, 119, 124)
ROWS = slice(140, 410)  # the height that both panels draw in
PAST, FUTURE, COMPARISON = slice(90, 430), slice(520, 615), slice(890, 1065)
BYTES_AT_MOST = 90_000


def _pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def _count(pixels: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((np.abs(pixels - color).max(axis=2) < 25).sum())


def _chunks(png: bytes) -> set[bytes]:
    found, at = set(), 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        found.add(png[at + 4 : at + 8])
        at += length + 12
    return found


def test_a_chart_is_a_png_of_its_size() -> None:
    assert _pixels(draw_series(series_chart())).shape == (500, 1200, 3)


def test_the_past_is_blue_and_the_future_red() -> None:
    pixels = _pixels(draw_series(series_chart()))
    past, future = pixels[ROWS, PAST], pixels[ROWS, FUTURE]
    assert _count(past, BLUE) > 300
    assert _count(past, RED) == 0
    assert _count(future, RED) > 100
    assert _count(future, BLUE) == 0


def test_the_comparison_shows_forecast_actual_prices_and_random_walk() -> None:
    pixels = _pixels(draw_series(series_chart()))[ROWS, COMPARISON]
    assert min(_count(pixels, BLUE), _count(pixels, RED), _count(pixels, GREY)) > 50


def test_without_a_comparison_there_is_only_text_in_its_place() -> None:
    chart = replace(series_chart(), comparison=None, no_comparison="The series is too short to look back on.")
    pixels = _pixels(draw_series(chart))
    assert (_count(pixels[ROWS, COMPARISON], BLUE), _count(pixels[ROWS, COMPARISON], RED)) == (0, 0)
    assert (pixels[: ROWS.start, 755:].min(axis=2) < 128).any()


def test_a_chart_does_not_depend_on_those_drawn_before() -> None:
    fresh = draw_series(series_chart())
    draw_series(replace(series_chart(), comparison=None, no_comparison="None yet."))
    draw_series(series_chart(level=40_000, scale=900, unit="h"))
    assert draw_series(series_chart()) == fresh


def test_a_png_holds_no_date_and_no_program_name() -> None:
    assert _chunks(draw_series(series_chart())) == {b"IHDR", b"PLTE", b"IDAT", b"IEND"}


@pytest.mark.parametrize(
    ("level", "scale"),
    [(0.0005, 1e-6), (1_000_000, 4_000), (-36.98, 3.0), (0.0, 1.0), (15.6466, 0.0)],
    ids=["tiny", "huge", "negative", "zero", "flat"],
)
def test_prices_of_every_size_are_drawn_in_a_small_file(level: float, scale: float) -> None:
    assert len(draw_series(series_chart(level, scale))) < BYTES_AT_MOST


def test_one_step_ahead_is_drawn() -> None:
    pixels = _pixels(draw_series(series_chart(horizon=1)))
    assert _count(pixels[ROWS, 90:640], RED) > 20


def test_bars_that_never_came_leave_a_gap() -> None:
    chart = series_chart()
    whole = _count(_pixels(draw_series(chart))[ROWS, COMPARISON], BLUE)
    chart.comparison.y[20:] = np.nan
    assert 0 < _count(_pixels(draw_series(chart))[ROWS, COMPARISON], BLUE) < whole


@pytest.mark.parametrize(
    "unique_id",
    ["BRK/B", "$\\frac{$", "<script>", "\N{CJK UNIFIED IDEOGRAPH-4E2D}", "a\nb\tc", "x" * 300, ""],
)
def test_any_id_is_drawn_without_a_warning(unique_id: str) -> None:
    assert draw_series(replace(series_chart(), unique_id=unique_id))


@pytest.mark.parametrize(("level", "scale"), [(4e-8, 1e-9), (9e8, 2e7)], ids=["tiny", "huge"])
def test_long_prices_stay_in_their_columns(level: float, scale: float) -> None:
    pixels = _pixels(draw_series(replace(series_chart(level, scale), price_label="adjusted_close_" * 5)))
    assert (pixels[:, 742:752] == 255).all()
    assert (pixels[:, :4] == 255).all()
