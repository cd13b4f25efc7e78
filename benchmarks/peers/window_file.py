"""The windows that all networks train on and are judged on, in a file that either interpreter reads."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from forecasting.quantiles import LEVELS

CONTEXT, HORIZON, BATCH = 115, 72, 256
UNITS = (32, 16)
FILE = "windows.npz"
# Steps of a training between two looks at the loss. They cost the training no time.
LOOK = 50


@dataclass(frozen=True)
class WindowFile:
    """N bars of S series, and the origins of windows among them.

    Attributes:
        features: (N, F) what a network sees of each bar; column 0 is the change.
        level: (N,) logarithms of prices.
        scale: (N,) volatility up to each bar.
        weights: (N,) weight of a window in the loss, by its origin.
        ds: (N,) datetime64[us] of each bar.
        ids: (N,) the series of each bar.
        training: origins of the windows to train on.
        held_out: origins of later windows to be judged on.
    """

    features: np.ndarray
    level: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    ds: np.ndarray
    ids: np.ndarray
    training: np.ndarray
    held_out: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the file in `folder`."""
        with np.load(folder / FILE, allow_pickle=False) as arrays:
            return cls(**arrays)

    def write(self, folder: Path) -> None:
        """Write the file to `folder`."""
        np.savez(folder / FILE, **vars(self))

    def contexts(self, origins: np.ndarray) -> np.ndarray:
        """(W, CONTEXT, F) what a network sees of each window, in the scale of its origin.

        It is what `stacked_lstm.OriginScale` makes of daily bars: the change, then logs of volatilities.
        """
        steps = sliding_window_view(self.features, CONTEXT, axis=0)[origins - CONTEXT + 1].transpose(0, 2, 1)
        log_scale = steps[:, -1:, 1:2]
        scaled = np.concatenate([steps[:, :, :1] * np.exp(-log_scale), steps[:, :, 1:] - log_scale], axis=2)
        return np.clip(scaled, -8, 8)

    def targets(self, origins: np.ndarray) -> np.ndarray:
        """(W, HORIZON) changes of level from each origin, in its scale."""
        ahead = sliding_window_view(self.level, HORIZON)[origins + 1] - self.level[origins, None]
        return (ahead / self.scale[origins, None]).astype(np.float32)

    def loss(self, quantiles: np.ndarray) -> float:
        """The pinball loss of quantiles (W, HORIZON, 11), in scales, on the windows held out."""
        error = self.targets(self.held_out)[..., None] - quantiles
        losses = 2 * np.maximum(LEVELS * error, (LEVELS - 1) * error)
        return float((losses.mean(axis=(1, 2)) * self.weights[self.held_out]).mean())


class Watch:
    """The course of a training: what it has taken so far, without the time of looking at it.

    Attributes:
        course: (step, wall seconds, processor seconds, loss) at each look.
        paces: windows a wall second, and a processor second, of stretches of steps without a look.
    """

    def __init__(self) -> None:
        self.course: list[tuple[int, float, float, float]] = []
        self.paces: list[tuple[float, float]] = []
        self._spent, self._since = (0.0, 0.0), now()

    def look(self, step: int, loss: float, asked: tuple[float, float]) -> None:
        """Add a look that was asked for at `asked` and has just ended."""
        self._spent = (
            self._spent[0] + asked[0] - self._since[0],
            self._spent[1] + asked[1] - self._since[1],
        )
        self.course.append((step, *self._spent, loss))
        self._since = now()

    def pace(self, windows: int, began: tuple[float, float]) -> None:
        """Add a stretch of so many windows that has just ended."""
        wall, processor = now()
        self.paces.append((windows / (wall - began[0]), windows / max(processor - began[1], 1e-9)))

    def result(self, name: str, **facts: object) -> dict[str, object]:
        """What a side prints."""
        paces = np.median(self.paces, axis=0).tolist() if self.paces else []
        return {"name": name, "course": self.course, "pace": paces, **facts}


def now() -> tuple[float, float]:
    """Wall and processor seconds."""
    return time.perf_counter(), time.process_time()
