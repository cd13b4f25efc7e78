import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from forecasting.quantiles import LEVELS
from forecasting.reports.backtest_charts import (
    SMALL,
    WIDE,
    WindowChart,
    draw_coverage,
    draw_reliability,
    draw_skill,
    draw_window,
)

BLUE, RED, GREY = (21, 89, 179), (197, 34, 31), (115, 119, 124)
CANDIDATES = ("ewma_walk", "random_walk", "stacked_lstm")


def horizons(steps: int = 6) -> pd.DataFrame:
    index = pd.MultiIndex.from_product([CANDIDATES, range(1, steps + 1)], names=["candidate", "h"])
    wave = np.sin(np.arange(len(index)))
    columns = {"skill": wave / 50, "coverage_80": 0.8 + wave / 20, "coverage_90": 0.9 + wave / 30}
    return pd.DataFrame(columns, index=index)


def window(unit: str = "D") -> WindowChart:
    spread = np.sqrt(np.arange(1, 7))[:, None] * np.linspace(-1.6, 1.6, 11)
    return WindowChart(
        unique_id="EURUSD",
        cutoff=np.datetime64("2020-01-01", "us"),
        y_cutoff=100.0,
        ds=np.datetime64("2020-01-01", unit) + np.arange(1, 7),
        y=np.array([101.0, 102.0, 101.0, 103.0, 104.0, 103.5]),
        quantiles=100 + spread,
        walk=100 + 2 * spread,
        loss=2.345,
        walk_loss=1.2,
    )


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def count(picture: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((np.abs(picture - color).max(axis=2) < 25).sum())


@pytest.mark.parametrize("draw", [draw_skill, draw_coverage])
@pytest.mark.parametrize("steps", [1, 6, 72])
def test_charts_by_step_show_every_candidate_in_its_colour(draw: object, steps: int) -> None:
    picture = pixels(draw(horizons(steps)))
    assert picture.shape == (WIDE[1], WIDE[0], 3)
    assert min(count(picture[85:365], color) for color in (RED, BLUE, GREY)) > 30


def test_reliability_shows_every_candidate_in_its_colour() -> None:
    shares = pd.DataFrame([LEVELS - 0.02, LEVELS, LEVELS + 0.02], index=CANDIDATES, columns=LEVELS)
    picture = pixels(draw_reliability(shares))
    assert picture.shape == (WIDE[1], WIDE[0], 3)
    assert min(count(picture[85:365], color) for color in (RED, BLUE, GREY)) > 100


def test_a_window_shows_actual_prices_forecast_and_random_walk() -> None:
    picture = pixels(draw_window(window()))
    assert picture.shape == (SMALL[1], SMALL[0], 3)
    assert min(count(picture[90:340, 75:490], color) for color in (RED, BLUE, GREY)) > 100


def test_a_window_is_named_by_its_series_and_its_last_known_bar() -> None:
    assert window().title == "EURUSD on 1 Jan 2020"
    assert replace(window(unit="h"), cutoff=np.datetime64("2020-01-01T05", "us")).title == (
        "EURUSD on 1 Jan 2020 05:00"
    )
    assert window().result == "loss 2.35, random walk 1.20"


def test_the_same_data_gives_the_same_bytes() -> None:
    assert draw_window(window()) == draw_window(window())
