"""Stamps: from the end of an intraday bar, as some sources stamp it, to its start."""

import numpy as np
import pyarrow as pa

from forecasting.panel import Panel
from forecasting.prices.schema import INSTANT

# Ends that are stamped just before the full minute: 00:59:59, 00:59:59.999, one nanosecond before.
_MINUTE = 60_000_000
_LEAST_BEFORE = 59_000_000


def bar_starts(ends: pa.ChunkedArray, panel: Panel) -> pa.ChunkedArray:
    """The starts of the bars that end at `ends`: one step earlier, except for a session's short last bar.

    An end within the last second before a full minute is that minute. An instant at which no bar ends becomes
    one that is off the calendar.
    """
    calendar, step = panel.calendar, panel.bars.step
    stamps = _rounded(ends.to_numpy().astype("datetime64[us]"))
    starts = np.where(calendar.contains(stamps - step), stamps, stamps - step)
    known = (stamps - step >= calendar.begin) & (stamps <= calendar.end)  # NaT is not
    if known.any():
        bars = calendar.bars(stamps[known].min() - step, stamps[known].max())
        near = np.searchsorted(bars, stamps[known]) - 1
        bar = bars[np.maximum(near, 0)]
        is_its_end = (near >= 0) & (calendar.closes(bar) == stamps[known])
        starts[known] = np.where(is_its_end, bar, starts[known])
    return pa.chunked_array([pa.array(starts, INSTANT)])


def _rounded(stamps: np.ndarray) -> np.ndarray:
    within = stamps.astype(np.int64) % _MINUTE
    up = np.where(within >= _LEAST_BEFORE, _MINUTE - within, 0).astype("timedelta64[us]")
    return np.where(np.isnat(stamps), stamps, stamps + up)
