"""The lecture's LSTM: the network and recipe that this project comes from, to the letter.

It learns levels, standardised by each series' mean and deviation over the training split, and gives one
number a step. Its quantiles are that number and how far off it was on held-out windows. It is here as the
reference: it does not even know that a price goes on from where it stands.
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
    """Levels in deviations from a mean, both of the series' training split.

    A series with less than a whole context in that split is standardised by its own first context instead,
    which all its windows know.

    Attributes:
        moments: mean and deviation by `unique_id`, of the other series.
    """

    moments: dict[str, tuple[float, float]]

    @classmethod
    def of(cls, windows: Windows, end: np.datetime64) -> Self:
        """By the bars before `end`."""
        bars = windows.bars
        counts = np.bincount(bars.series[bars.ds < end], minlength=len(bars.ids))
        whole = np.flatnonzero(counts >= windows.context_bars).tolist()
        return cls({bars.ids[series]: _moments(windows, series, int(counts[series])) for series in whole})

    def by_series(self, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
        """(S,) mean and (S,) deviation."""
        known = enumerate(self.moments.get(name) for name in windows.bars.ids)
        moments = [found or _moments(windows, series, windows.context_bars) for series, found in known]
        mean, deviation = np.array(moments).T
        return mean, deviation


class StandardWindows:
    """The windows of standardised levels, each as the lecture's loop makes it.

    There `i` is the first bar of the target, and `range(i - history, i, step)` names the bars of the context:
    the newest one is `step` bars before `i`.
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
        network: from (B, 120, 1) to (B, horizon), in standardised levels.
        standardiser: of its training split.
        residuals: (horizon, 11) quantiles of its errors on held-out windows, in deviations, 0 at the median.
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
    """The lecture's network for many steps ahead, or its sibling for one."""
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
    """Train the network on the windows whose targets end by `end`; the state to load it with; what happened.

    Raises:
        ModelError: no series has a window to train on and a later one to hold out.
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
    """The lecture clips gradients in its network for many steps, where relu lets them grow."""
    return keras.optimizers.RMSprop() if horizon == 1 else keras.optimizers.RMSprop(clipvalue=1.0)


def load(network: Any, state: dict[str, Any]) -> LectureLstm:
    """A trained network, with the state that training gave."""
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
    """Mean and deviation of the first `count` levels of a series; 1 is the deviation of equal ones."""
    start, stop = windows.bars.offsets[series : series + 2]
    levels = windows.level[start:stop][:count]
    return float(levels.mean()), float(levels.std()) if np.ptp(levels) else 1.0


def _residual_quantiles(network: Any, standard: StandardWindows, origins: np.ndarray) -> np.ndarray:
    """(horizon, 11) pooled over series; the network's own output is the median."""
    errors = standard.targets(origins) - forward(network, standard.contexts, origins)
    quantiles = np.quantile(errors, LEVELS, axis=0).T
    quantiles[:, :MEDIAN] = np.minimum(quantiles[:, :MEDIAN], 0)
    quantiles[:, MEDIAN] = 0
    quantiles[:, MEDIAN + 1 :] = np.maximum(quantiles[:, MEDIAN + 1 :], 0)
    return quantiles
