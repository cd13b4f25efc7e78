"""Exponentially weighted means of many series of different lengths at once, in numpy.

A recursive mean has to visit the bars of a series in order. Here all series are cut into lanes of 128 values
that lie side by side, so that 128 vectorised steps visit everything; then each lane adds what the earlier
lanes of its series carry over.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

LANE = 128


@dataclass(frozen=True)
class Lanes:
    """The layout of M values of S series, stored one series after another, in lanes.

    An array in lanes has the shape (128, lanes) and is 0 in unused places.

    Attributes:
        lengths: (S,) int64; how many values each series has.
    """

    lengths: np.ndarray

    @cached_property
    def count(self) -> np.ndarray:
        """(S,) int64; how many lanes each series has."""
        lanes: np.ndarray = -(-self.lengths // LANE)
        return lanes

    @cached_property
    def first(self) -> np.ndarray:
        """(lanes,) bool; whether a lane is its series' first."""
        first = np.zeros(self.count.sum(), bool)
        first[(np.cumsum(self.count) - self.count)[self.count > 0]] = True
        return first

    @cached_property
    def before(self) -> np.ndarray:
        """(lanes,) int64; number of values of the same series before each lane."""
        number = np.arange(len(self.first))
        before: np.ndarray = LANE * (number - np.maximum.accumulate(np.where(self.first, number, 0)))
        return before

    @cached_property
    def age(self) -> np.ndarray:
        """(128, lanes) float64; position of each value within its series, counted from 1."""
        age: np.ndarray = np.arange(1.0, LANE + 1)[:, None] + self.before
        return age

    def place(self, values: np.ndarray, series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row and lane of values, given by their position within their `series`, counted from 0."""
        return values % LANE, (np.cumsum(self.count) - self.count)[series] + values // LANE

    def lay(self, values: np.ndarray) -> np.ndarray:
        """Put (M,) values in lanes; keeps the type."""
        padded = np.zeros((len(self.first), LANE), values.dtype)
        inside = np.arange(LANE) < self._filled[:, None]
        padded[inside] = values
        return np.ascontiguousarray(padded.T)

    def decayed_sum(self, values: np.ndarray, decay: float) -> np.ndarray:
        """Sums s[i] = values[i] + decay * s[i - 1] within each series; in lanes."""
        sums = values.copy()
        carried = np.empty_like(sums[0])
        for row in range(1, LANE):
            np.multiply(sums[row - 1], decay, out=carried)
            sums[row] += carried
        if self.count.max(initial=0) > 1:
            passed_on = self._passed_on(sums[-1], decay)
            for row in range(LANE):
                np.multiply(passed_on, decay ** (row + 1), out=carried)
                sums[row] += carried
        return sums

    def mean(self, values: np.ndarray, half_life: float) -> np.ndarray:
        """Exponentially weighted means of the values so far, without bias towards 0 at the start."""
        decay = 0.5 ** (1 / half_life)
        sums = self.decayed_sum(values, decay)
        # The weights of a mean over `age` values sum up to (1 - decay ** age) / (1 - decay).
        row, lane = decay ** np.arange(1.0, LANE + 1), decay ** self.before.astype(np.float64)
        weights = 1 - np.multiply.outer(row.astype(values.dtype), lane.astype(values.dtype))
        weights /= 1 - decay
        sums /= weights
        return sums

    def shift(self, values: np.ndarray, by: int) -> np.ndarray:
        """The values `by` (at most 128) places earlier in the same series; 0 where there is none."""
        shifted = np.zeros_like(values)
        shifted[by:] = values[:-by]
        shifted[:by, 1:] = np.where(self.first[1:], 0, values[-by:, :-1])
        return shifted

    @cached_property
    def _filled(self) -> np.ndarray:
        """(lanes,) number of values in each lane."""
        filled = np.full(len(self.first), LANE)
        some = self.count > 0
        filled[(np.cumsum(self.count) - 1)[some]] = (self.lengths - LANE * (self.count - 1))[some]
        return filled

    def _passed_on(self, last: np.ndarray, decay: float) -> np.ndarray:
        """(lanes,) decayed sum of the earlier lanes of the same series, from the last rows of all lanes."""
        inner = Lanes(self.count)
        total = inner.flat(inner.decayed_sum(inner.lay(last), decay**LANE))
        passed_on = np.zeros_like(total)
        passed_on[1:] = np.where(self.first[1:], 0, total[:-1])
        return passed_on

    def flat(self, values: np.ndarray) -> np.ndarray:
        """Take (M,) values out of lanes; the inverse of `lay`."""
        taken: np.ndarray = values.T[np.arange(LANE) < self._filled[:, None]]
        return taken
