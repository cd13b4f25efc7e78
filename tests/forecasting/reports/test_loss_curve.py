import io

import numpy as np
from PIL import Image

from forecasting.reports.loss_curve import draw_loss_curve

BLUE, RED = (21, 89, 179), (197, 34, 31)


def _pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def _count(pixels: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((np.abs(pixels - color).max(axis=2) < 25).sum())


def test_a_loss_curve_shows_training_in_blue_and_validation_in_red() -> None:
    history = {"step": [100, 200, 300], "loss": [0.9, 0.8, 0.7], "val_loss": [0.95, 0.85, 0.9]}
    png = draw_loss_curve(history)
    pixels = _pixels(png)
    assert pixels.shape == (400, 900, 3)
    assert min(_count(pixels, BLUE), _count(pixels, RED)) > 100
    assert draw_loss_curve(history) == png


def test_the_best_step_of_a_loss_curve_is_marked_where_it_is() -> None:
    history = {"step": [0, 100, 200], "loss": [0.5, 0.5, 0.5], "val_loss": [0.9, 0.8, 0.9]}
    red = np.abs(_pixels(draw_loss_curve(history)) - RED).max(axis=2) < 25
    rows, columns = np.nonzero(red[90:340, 76:756])
    lowest = columns[rows == rows.max()]
    assert abs(lowest.mean() - (756 - 76) / 2) < 5


def test_a_single_evaluation_is_drawn() -> None:
    assert draw_loss_curve({"step": [100], "loss": [0.9], "val_loss": [0.8]})
