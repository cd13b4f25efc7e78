"""Vintages: which value of a bar counts as its first.

A source that re-adjusts a stock multiplies its past, and the store appends that whole past again in one
commit. The literal first values of such a series jump where the old and the new past meet. No run ever saw
that jump: earlier runs read the old past, later runs the new one. So a vintage that restates a series' past
replaces it.
"""

import numpy as np
import pyarrow as pa

from forecasting.prices.order import order_bars, ranked, series_offsets, series_ranks

# Fewer changed bars than this are revisions, even if the series has no other bars.
LEAST_BARS = 5
# Not all: a restated price may round to its old value, and an older bar may arrive even later.
_NEARLY_ALL = 0.9


def first_rows(rows: pa.Table) -> np.ndarray:
    """Position in `rows` of the first value of each bar: that of the last restatement, else the oldest one.

    Args:
        rows: `unique_id`, `ds`, `known_at` of all rows of these bars, in any order.

    Returns:
        One position per bar, by series and time.
    """
    order = order_bars(rows)
    if not order.again.any():
        return order.rows
    series = series_ranks(rows["unique_id"])[order.rows]
    vintage = ranked(rows["known_at"])[0][order.rows]
    starts = np.flatnonzero(~order.again)
    restated = vintage == _restatements(series, vintage, order.again)[series]
    at = np.maximum.reduceat(np.where(restated, np.arange(len(restated)), -1), starts)
    return order.rows[np.where(at < 0, starts, at)]


def _restatements(series: np.ndarray, vintage: np.ndarray, again: np.ndarray) -> np.ndarray:
    """(S,) newest vintage that holds nearly all bars of a series up to some date; -1 if there is none.

    At least `LEAST_BARS` of its rows must restate an older row. Bars that arrived after the vintage, before
    or between the others, do not count.

    Args:
        series: (N,) series of each row; rows are sorted by series, time and vintage.
        vintage: (N,) number of the vintage, from 0.
        again: (N,) whether the row before belongs to the same bar.
    """
    bar = np.cumsum(~again) - 1
    first_bar = bar[series_offsets(series, series[-1] + 1)[:-1]]
    keys = series * (vintage.max() + 1) + vintage
    groups, anew = np.unique(keys[again], return_counts=True)
    place = np.minimum(np.searchsorted(groups, keys), len(groups) - 1)
    in_group = groups[place] == keys
    end = np.full(len(groups), -1)
    np.maximum.at(end, place[again], bar[again])
    counts = np.bincount(place[in_group & (bar <= end[place])], minlength=len(groups))
    enough = anew >= LEAST_BARS
    (owner, when), end, counts = np.divmod(groups[enough], vintage.max() + 1), end[enough], counts[enough]
    came = vintage[~again]
    late = _late(keys[~again])
    known = end - first_bar[owner] + 1
    for then in np.unique(came[late]):
        bars = late[came[late] == then]
        between = np.searchsorted(bars, end, side="right") - np.searchsorted(bars, first_bar[owner])
        known -= np.where(when < then, between, 0)
    whole = counts >= _NEARLY_ALL * known
    newest = np.full(len(first_bar), -1)
    np.maximum.at(newest, owner[whole], when[whole])
    return newest


def _late(came: np.ndarray) -> np.ndarray:
    """The bars that arrived later than a bar that follows them: few, and mostly of one vintage.

    Args:
        came: (B,) vintage that brought each bar; all numbers of a series are below those of the next.
    """
    return np.flatnonzero(came[:-1] > np.minimum.accumulate(came[::-1])[::-1][1:])
