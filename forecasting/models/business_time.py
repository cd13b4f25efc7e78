"""Business time: a clock that runs faster in the hours when prices usually move more.

Intraday volatility depends on the hour: markets open, lunch, close, and rest at weekends. In business time
each change counts in units of the usual size of its hour of the week, so that one network forecasts days and
hours alike. A forecast is turned back by the hours that it will really cross. Daily bars, and panels too
short to tell, have no profile: their clock is the calendar's.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from forecasting.calendar import BarCalendar
from forecasting.models.windows import Windows

# A session has at most 25 hours, on the day on which clocks are set back. 1970-01-01 was a Thursday.
SLOTS_A_DAY, _WEEKDAYS, _THURSDAY = 25, 7, 3
# Number of hours of the week.
SLOTS = _WEEKDAYS * SLOTS_A_DAY
# With fewer weeks than this there is no profile.
LEAST_WEEKS = 8
# Each hour of the week is shrunk towards its hour of the day as if by this many more changes.
_PRIOR = 20.0
# Limits of an hour's variance relative to the usual one; a single jump counts at most as this many scales.
_LEAST, _MOST, _JUMP = 0.02, 20.0, 5.0
_WEEK = np.timedelta64(7, "D")


@dataclass(frozen=True)
class BusinessTime:
    """The usual variance of one bar, relative to the mean, by hour of the week.

    Attributes:
        variance: (SLOTS,) float64; None where every bar counts the same.
    """

    variance: np.ndarray | None = None

    @classmethod
    def fit(cls, windows: Windows, end: np.datetime64) -> Self:
        """Learn the profile from the changes of all series up to `end`."""
        bars = windows.bars
        known = np.flatnonzero((windows.run >= 1) & (windows.scale > 0) & (bars.ds <= end))
        if not windows.calendar.is_intraday or not len(known):
            return cls()
        if np.ptp(bars.ds[known]) < LEAST_WEEKS * _WEEK:
            return cls()
        change = windows.level[known] - windows.level[known - 1]
        squares = np.minimum((change / windows.scale[known]) ** 2, _JUMP**2)
        slots = hour_of_week(windows.calendar, bars.ds[known])
        sums, counts = np.bincount(slots, squares, SLOTS), np.bincount(slots, minlength=SLOTS)
        hours = np.arange(SLOTS) % SLOTS_A_DAY
        by_hour = np.bincount(hours, sums)[hours] / np.maximum(np.bincount(hours, counts)[hours], 1)
        usual = max(float(squares.mean()), np.finfo(float).tiny)
        variance = (sums + _PRIOR * by_hour) / (counts + _PRIOR) / usual
        return cls(np.clip(np.where(variance > 0, variance, 1.0), _LEAST, _MOST))

    def changes(self, windows: Windows, places: np.ndarray) -> np.ndarray:
        """(M,) one-bar changes that end at the bars `places`, in business time."""
        change: np.ndarray = windows.level[places] - windows.level[places - 1]
        if self.variance is None:
            return change
        return change / np.sqrt(self.variance[hour_of_week(windows.calendar, windows.bars.ds[places])])

    def stretch(self, windows: Windows, origins: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """(W, K) by how much the next `steps` (K,) bars widen a forecast: the root of their mean variance."""
        if self.variance is None:
            return np.ones((len(origins), len(steps)))
        ds, place = np.unique(windows.bars.ds[origins], return_inverse=True)
        ahead = self.variance[_slots_ahead(windows.calendar, ds, int(steps.max()))]
        so_far = np.cumsum(ahead, axis=1)[:, steps - 1]
        widened: np.ndarray = np.sqrt(so_far / steps)[place]
        return widened


def hour_of_week(calendar: BarCalendar, ds: np.ndarray) -> np.ndarray:
    """(N,) the hour of the week of each bar, from 0 to `SLOTS` - 1.

    It is the weekday on which the bar's session opened, and the hours since. So it follows the market through
    changes of the clock.
    """
    opened = calendar.opened(ds)
    weekday = (opened.astype("datetime64[D]").astype(np.int64) + _THURSDAY) % _WEEKDAYS
    hour = np.clip((ds - opened) // np.timedelta64(1, "h"), 0, SLOTS_A_DAY - 1)
    slots: np.ndarray = weekday * SLOTS_A_DAY + hour
    return slots


def _slots_ahead(calendar: BarCalendar, ds: np.ndarray, count: int) -> np.ndarray:
    """(D, count) hours of the week of the bars after each of `ds` (D,)."""
    return hour_of_week(calendar, calendar.after(ds, count).ravel()).reshape(len(ds), count)
