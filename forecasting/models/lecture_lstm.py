"""The LSTM of the lecture that this project started from, reproduced exactly, as a reference.

The network learns levels, standardised by each series' mean and standard deviation over the training split,
and gives one number per step. Its quantiles are that number plus the quantiles of its errors on held-out
windows. Unlike the default network, it has to learn that a forecast starts at the last price.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from forecasting.errors import ModelError
from forecasting.models.backend import keras
from forecasting.models.fitting import MAX_VALIDATION, Fit, Recipe, Split, fit, forward, spread
from forecasting.models.presets import LECTURE
from forecasting.models.windows import Windows, gather
from forecasting.panel import Panel
from forecasting.progress import Progress
from forecasting.quantiles import LEVELS, MEDIAN

NAME = LECTURE.model
STEPS_PER_EPOCH = 200


@dataclass(frozen=True)
class Standardiser:
    """Standardises levels by the mean and standard deviation of each series' training split.

    A series whose training split is shorter than a context is standardised by its own first context, which is
    known to all of its windows.

    Attributes:
        moments: mean and standard deviation by `unique_id`, for the series with a complete context.
    """

    moments: dict[str, tuple[float, float]]

    @classmethod
    def of(cls, windows: Windows, end: np.datetime64) -> Self:
        """Fit to the bars before `end`."""
        bars = windows.bars
        counts = np.bincount(bars.series[bars.ds < end], minlength=len(bars.ids))
        whole = np.flatnonzero(counts >= windows.context_bars).tolist()
        return cls({bars.ids[series]: _moments(windows, series, int(counts[series])) for series in whole})

    def by_series(self, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
        """(S,) mean and (S,) standard deviation of each series."""
        known = enumerate(self.moments.get(name) for name in windows.bars.ids)
        moments = [found or _moments(windows, series, windows.context_bars) for series, found in known]
        mean, deviation = np.array(moments).T
        return mean, deviation


class StandardWindows:
    """The windows of standardised levels, as the lecture's loop builds them.

    In that loop `i` is the first bar of the target, and the context has the bars `range(i - history, i,
    step)`. The newest bar of a context is therefore `step` bars before `i`.
    """

    def __init__(self, windows: Windows, standardiser: Standardiser) -> None:
        self._windows = windows
        mean, deviation = standardiser.by_series(windows)
        series = windows.bars.series
        self._levels = ((windows.level - mean[series]) / deviation[series]).astype(np.float32)

    def contexts(self, origins: np.ndarray) -> np.ndarray:
        """(W, context, 1) float32."""
        windows = self._windows
        newest = origins + 1 - windows.sampling_step
        return gather(self._levels[:, None], newest, windows.context_bars, windows.sampling_step)

    def targets(self, origins: np.ndarray) -> np.ndarray:
        """(W, horizon) float32."""
        return sliding_window_view(self._levels, self._windows.horizon)[origins + 1]


@dataclass(frozen=True)
class LectureLstm:
    """The trained network as a forecaster.

    Attributes:
        network: maps (B, 120, 1) to (B, horizon), both in standardised levels.
        standardiser: the standardiser of its training split.
        residuals: (horizon, 11) quantiles of its errors on held-out windows, in standardised levels; 0 at the
            median.
    """

    network: Any
    standardiser: Standardiser
    residuals: np.ndarray
    name: str = NAME

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        """(W, horizon, 11) quantiles of the change of level from each origin."""
        points = forward(self.network, StandardWindows(windows, self.standardiser).contexts, origins)
        series = windows.bars.series[origins]
        mean, deviation = (moment[series, None, None] for moment in self.standardiser.by_series(windows))
        return mean + deviation * (points[..., None] + self.residuals) - windows.level[origins, None, None]


def build_network(context: int, units: tuple[int, ...], horizon: int) -> Any:
    """Build the lecture's network for several steps ahead, or for `horizon` 1 its network for one step."""
    first, second = units
    if horizon == 1:
        layers = [keras.layers.LSTM(first), keras.layers.Dense(1)]
    else:
        layers = [
            keras.layers.LSTM(first, return_sequences=True),
            keras.layers.LSTM(second, activation="relu"),
            keras.layers.Dense(horizon),
        ]
    return keras.Sequential([keras.Input((context, 1)), *layers], name=NAME)


def train(
    windows: Windows, end: np.datetime64, panel: Panel, on_progress: Progress
) -> tuple[Any, dict[str, Any], Fit]:
    """Train the network on the windows whose targets end at or before `end`.

    Returns:
        The network, the state that `load` needs, and the course of the training.

    Raises:
        ModelError: no series has both a training window and a later window to hold out.
    """
    split = _split(windows, end, panel)
    settings = panel.model
    keras.utils.set_random_seed(settings.seed)
    network = build_network(settings.context, settings.units, windows.horizon)
    standardiser = Standardiser.of(windows, split.begin)
    standard = StandardWindows(windows, standardiser)

    def sample(origins: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return standard.contexts(origins), standard.targets(origins), np.ones(len(origins), np.float32)

    recipe = Recipe(
        sample=sample,
        loss=keras.losses.MeanAbsoluteError(),
        optimizer=make_optimizer(windows.horizon),
        batch_size=settings.batch_size,
        steps=settings.training_steps,
        steps_per_epoch=STEPS_PER_EPOCH,
        seed=settings.seed,
        keep_best=False,
    )
    result = fit(network, recipe, split, on_progress)
    residuals = _residual_quantiles(network, standard, spread(split.validation, MAX_VALIDATION))
    state = {"moments": standardiser.moments, "residuals": residuals.tolist()}
    return network, state, result


def make_optimizer(horizon: int) -> Any:
    """Return the optimizer. With several steps, the lecture clips gradients, which relu lets grow."""
    return keras.optimizers.RMSprop() if horizon == 1 else keras.optimizers.RMSprop(clipvalue=1.0)


def load(network: Any, state: dict[str, Any]) -> LectureLstm:
    """Create the forecaster from a trained network and its state."""
    moments = {name: (mean, deviation) for name, (mean, deviation) in state["moments"].items()}
    return LectureLstm(network, Standardiser(moments), np.array(state["residuals"]))


def _split(windows: Windows, end: np.datetime64, panel: Panel) -> Split:
    split = Split.of(windows, end)
    if not len(split.training):
        used = windows.bars.until(end)
        longest = int(used.lengths.argmax())
        raise ModelError(
            f'preset = "lecture" trains on windows of {windows.context_bars} + {windows.horizon} bars and '
            f"holds later ones out, but the longest series of panel {panel.name}, {used.ids[longest]}, has "
            f'{used.lengths[longest]} bars to train on; give more history, or set preset = "default" in '
            "[model]"
        )
    return split


def _moments(windows: Windows, series: int, count: int) -> tuple[float, float]:
    """Return mean and standard deviation of the first `count` levels; the latter is 1 if they are equal."""
    start, stop = windows.bars.offsets[series : series + 2]
    levels = windows.level[start:stop][:count]
    return float(levels.mean()), float(levels.std()) if np.ptp(levels) else 1.0


def _residual_quantiles(network: Any, standard: StandardWindows, origins: np.ndarray) -> np.ndarray:
    """(horizon, 11) error quantiles, pooled over series; 0 at the median."""
    errors = standard.targets(origins) - forward(network, standard.contexts, origins)
    quantiles = np.quantile(errors, LEVELS, axis=0).T
    quantiles[:, :MEDIAN] = np.minimum(quantiles[:, :MEDIAN], 0)
    quantiles[:, MEDIAN] = 0
    quantiles[:, MEDIAN + 1 :] = np.maximum(quantiles[:, MEDIAN + 1 :], 0)
    return quantiles
