"""Marks and labels of an axis of values."""

import math
from collections.abc import Sequence

import numpy as np

from forecasting.formats import format_number

_INTERVALS = 6  # between marks, at most
_STEPS = (1, 2, 5, 10)
_TINY = 1e-9


def limits(values: np.ndarray) -> tuple[float, float]:
    """Return the ends of an axis that shows `values` with a margin. NaN is ignored."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = (high - low) * 0.06 or abs(high) * 0.01 or 1.0
    return low - margin, high + margin


def round_values(low: float, high: float) -> np.ndarray:
    """Return two to seven multiples of 1, 2 or 5 times a power of ten, from `low` to `high` > `low`."""
    least = (high - low) / _INTERVALS
    power = 10.0 ** math.floor(math.log10(least))
    step = next((one for one in _STEPS if one * power >= least), _STEPS[-1]) * power
    return np.arange(math.ceil(low / step - _TINY), math.floor(high / step + _TINY) + 1) * step


def label_values(values: np.ndarray, unit: str = "") -> list[str]:
    """Write evenly spaced values with as many decimals as tell them apart, and their unit."""
    decimals = max(0, math.ceil(-math.log10(values[1] - values[0]) - _TINY))
    return [f"{format_number(value, decimals)}{unit}" for value in values]


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Return a place for each value's label: near it, at least `gap` from the others, in their order.

    >>> spread([3.0, 3.0], gap=1.0)
    [2.5, 3.5]
    """
    order = sorted(range(len(values)), key=lambda at: values[at])
    places: dict[int, float] = {}
    least = -math.inf
    for at in order:
        places[at] = max(values[at], least)
        least = places[at] + gap
    excess = sum(places[at] - values[at] for at in order) / len(order)
    return [places[at] - excess for at in range(len(values))]
