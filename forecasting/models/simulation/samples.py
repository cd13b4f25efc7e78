"""Samples of simulated markets: the network's inputs at each origin, and the futures that followed."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from forecasting.models.inputs import CONTEXT, Moves, inputs_at
from forecasting.models.simulation.laws import DAILY, INTRADAY, Laws
from forecasting.models.simulation.markets import PATHS, Length, Markets, simulate

# Futures are clipped at this many scales, far outside of all quantiles.
_TARGET_LIMIT = 300.0


class Kind(NamedTuple):
    """A kind of bars to simulate."""

    laws: Laws
    length: Length


KINDS = {
    "daily": Kind(DAILY, Length(bars=1500, first=60, early=500, origins=8)),
    "intraday": Kind(INTRADAY, Length(bars=5000, first=60, early=1500, origins=8)),
}
SERIES = 1000


@dataclass(frozen=True)
class Sample:
    """W simulated windows.

    Attributes:
        contexts: (W, 24, 10) float32; see `Inputs.contexts`.
        at_origin: (W, F) float32; see `Inputs.at_origin`.
        futures: (W, paths, 15) float32; changes at `STEPS_AHEAD`, in scales.
    """

    contexts: np.ndarray
    at_origin: np.ndarray
    futures: np.ndarray

    def __len__(self) -> int:
        return len(self.futures)

    @classmethod
    def of(cls, markets: Markets, context: int = CONTEXT) -> Self:
        """Compute the inputs of all windows of `markets`, without those whose price never moves."""
        bars, series = markets.level.shape
        moves = Moves(np.diff(markets.level, axis=0).T.ravel(), np.full(series, bars - 1))
        ages = np.repeat(markets.origins, series)
        inputs = inputs_at(moves, np.tile(np.arange(series), len(markets.origins)), ages)
        futures = markets.futures.reshape(-1, *markets.futures.shape[2:])
        rows = np.flatnonzero((inputs.scale > 0) & futures.any(axis=(1, 2)))
        scaled = futures[rows] / inputs.scale[rows, None, None].astype(np.float32)
        scaled = np.clip(scaled, -_TARGET_LIMIT, _TARGET_LIMIT)
        return cls(inputs.contexts(rows, context), inputs.at_origin[rows], scaled)

    @classmethod
    def draw(
        cls,
        seed: tuple[int, ...],
        kind: str,
        *,
        series: int = SERIES,
        paths: int = PATHS,
        context: int = CONTEXT,
    ) -> Self:
        """Simulate windows of a `kind` of bars. The same seed gives the same windows.

        Example:
            >>> sample = Sample.draw((1, 2), "daily", series=10)
            >>> sample.futures.shape[1:]
            (8, 15)
        """
        laws, length = KINDS[kind]
        rng = np.random.Generator(np.random.SFC64([*seed, list(KINDS).index(kind)]))
        return cls.of(simulate(laws, series, length, rng, paths), context)

    @classmethod
    def join(cls, samples: "list[Sample]") -> Self:
        """Concatenate samples."""
        return cls(
            *(np.concatenate([vars(sample)[name] for sample in samples]) for name in cls.__annotations__)
        )
