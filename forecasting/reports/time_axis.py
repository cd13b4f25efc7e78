"""Tick marks for an axis that counts bars: where hours, days, months and years begin."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from forecasting.as_of import to_datetime
from forecasting.formats import MONTHS


@dataclass(frozen=True)
class _Mark:
    """A period of `every` hours, days or months. `name` gives its name, and that of the longer period."""

    unit: str
    every: int
    name: Callable[[datetime], tuple[str, str]]

    def starts(self, ds: np.ndarray) -> np.ndarray:
        """The positions of the bars where a period begins."""
        count = ds.astype(f"datetime64[{self.unit}]").astype(np.int64)
        monday = 3 if self.unit == "D" else 0  # days are counted from a Thursday, weeks begin on Monday
        return np.flatnonzero(np.diff((count + monday) // self.every)) + 1


def _name_hour(time: datetime) -> tuple[str, str]:
    return f"{time:%H:%M}", f"{time.day} {MONTHS[time.month - 1]}"


def _name_day(time: datetime) -> tuple[str, str]:
    return f"{time.day} {MONTHS[time.month - 1]}", str(time.year)


def _name_month(time: datetime) -> tuple[str, str]:
    return MONTHS[time.month - 1], str(time.year)


def _name_year(time: datetime) -> tuple[str, str]:
    return str(time.year), ""


_HOURS = tuple(_Mark("h", hours, _name_hour) for hours in (1, 3, 6, 12))
_DAYS = (
    *(_Mark("D", days, _name_day) for days in (1, 2, 7)),
    *(_Mark("M", months, _name_month) for months in (1, 3, 6)),
    *(_Mark("M", months, _name_year) for months in (12, 60, 120)),
)


def mark_times(ds: np.ndarray, *, daily: bool, at_most: int) -> tuple[np.ndarray, list[str]]:
    """Choose the shortest periods that give at most `at_most` marks.

    Args:
        ds: (N,) datetime64, increasing.
        daily: whether the bars are days, so that marks by hours are useless.
        at_most: largest number of marks.

    Returns:
        The positions in `ds` to mark, and a label of two lines for each: the period, and the longer period
        around it where it changes.
    """
    starts = np.empty(0, dtype=np.int64)
    for mark in _DAYS if daily else _HOURS + _DAYS:
        starts = mark.starts(ds)
        if len(starts) <= at_most:
            break
    # Drop periods with few bars: their labels would overlap the next label.
    starts = starts[np.diff(starts, append=2 * len(ds)) > len(ds) / 12]
    names, previous = [], ""
    for time in ds[starts]:
        name, within = mark.name(to_datetime(time))
        names.append(f"{name}\n{within if within != previous else ''}")
        previous = within
    return starts, names
