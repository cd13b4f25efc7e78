"""Evaluates a network on fresh simulated markets, beside two baselines and a seer.

The seer knows each series' law and true state, which no forecaster can know. Its loss is the lower bound.
"""

from dataclasses import dataclass

import numpy as np

from forecasting.models import fan
from forecasting.models.inputs import HALF_LIVES, NAMES
from forecasting.models.network import Network
from forecasting.models.simulation.markets import PATHS, STEPS_AHEAD
from forecasting.models.simulation.samples import Sample
from forecasting.quantiles import LEVELS

# Futures that give the seer's quantiles. Their sampling error adds less than 0.1% to its loss.
SEER_PATHS = 1024
_VOLATILITIES = [NAMES.index(f"volatility_{half_life}") for half_life in HALF_LIVES]
_USUAL = [NAMES.index(f"volatility_{half_life}") for half_life in (60, 250)]
_BATCH = 2048


@dataclass(frozen=True)
class Judgement:
    """Scores of forecasts of W simulated windows.

    Attributes:
        losses: (W,) mean scaled pinball loss of each window.
        cover: coverage of the 80% and 90% intervals (keys 80 and 90) at each of `STEPS_AHEAD`.
    """

    losses: np.ndarray
    cover: dict[int, np.ndarray]

    @property
    def loss(self) -> float:
        """Mean over windows."""
        return float(self.losses.mean())


def judge(quantiles: np.ndarray, sample: Sample) -> Judgement:
    """Score (W, 15, 11) quantiles, in scales, against the futures of a sample.

    The pinball loss at each step is divided by the square root of the step and by the window's volatility
    over a quarter and a year, which is known at the origin.
    """
    usual = np.exp(sample.at_origin[:, _USUAL].mean(axis=1, dtype=np.float64))
    levels = LEVELS.astype(np.float32)
    losses = np.empty(len(sample))
    inside = {80: np.zeros(len(STEPS_AHEAD)), 90: np.zeros(len(STEPS_AHEAD))}
    for start in range(0, len(sample), _BATCH):
        rows = slice(start, start + _BATCH)
        futures, fans = sample.futures[rows], quantiles[rows, None].astype(np.float32)
        error = futures[..., None] - fans
        pinball = 2 * np.maximum(levels * error, (levels - 1) * error).mean(axis=(1, 3))
        losses[rows] = (pinball / np.sqrt(STEPS_AHEAD)).mean(axis=1) / usual[rows]
        for cover, place in ((80, 1), (90, 0)):
            hit = (fans[..., place] <= futures) & (futures <= fans[..., -1 - place])
            inside[cover] += hit.mean(axis=1).sum(axis=0)
    return Judgement(losses, {cover: hits / len(sample) for cover, hits in inside.items()})


def network_quantiles(network: Network, sample: Sample) -> np.ndarray:
    """(W, 15, 11) quantiles from a network."""
    return fan.quantiles(network(sample.contexts, sample.at_origin), STEPS_AHEAD)


def walk_quantiles(past: Sample, sample: Sample) -> np.ndarray:
    """(W, 15, 11) quantiles of the EWMA walk: each window's scale times one table, fitted on `past`."""
    table = np.stack([np.quantile(past.futures[..., step], LEVELS) for step in range(len(STEPS_AHEAD))])
    return np.broadcast_to(table, (len(sample), *table.shape))


def regression_quantiles(past: Sample, sample: Sample) -> np.ndarray:
    """(W, 15, 11) quantiles of a regression of the width on six volatilities; fitted on `past`."""
    sizes = np.log(np.abs(past.futures).mean(axis=1) + 0.01)
    weights = np.linalg.lstsq(_regressors(past), sizes, rcond=None)[0]
    learnt, width = (np.exp(np.clip(_regressors(some) @ weights, -3, 8)) for some in (past, sample))
    shapes = past.futures / learnt[:, None]
    table = np.stack([np.quantile(shapes[..., step], LEVELS) for step in range(len(STEPS_AHEAD))])
    return width[..., None] * table


def seer_quantiles(sample: Sample) -> tuple[np.ndarray, Sample]:
    """The seer's quantiles, from all but `PATHS` futures; and the sample with only those futures."""
    half = sample.futures.shape[1] // 2
    own = PATHS // 2
    # The second half of the futures has the opposite shocks of the first: keep each pair on one side.
    held = np.r_[0:own, half : half + own]
    known = np.delete(sample.futures, held, axis=1)
    quantiles = np.moveaxis(np.quantile(known, LEVELS, axis=1), 0, -1)
    return quantiles, Sample(sample.contexts, sample.at_origin, sample.futures[:, held])


def _regressors(sample: Sample) -> np.ndarray:
    return np.concatenate(
        [np.ones((len(sample), 1)), sample.at_origin[:, _VOLATILITIES]], axis=1, dtype=np.float64
    )
