"""Vintages: which of the values that a bar has had counts as its first.

A source that re-adjusts a stock multiplies its past, and the store then takes all of that past anew in one
commit. The very first values of such a series jump where the two pasts meet, which no run ever saw: those
before had the one past, those after the other. So a vintage that restates a series' past takes its place.
"""

import numpy as np
import pyarrow as pa

from forecasting.prices.order import order_bars, ranked, series_offsets, series_ranks

# Fewer bars than this are revisions, even if a series has no others.
LEAST_BARS = 5
# A restated price may round to what it was, and an older bar may come later still.
_NEARLY_ALL = 0.9


def first_rows(rows: pa.Table) -> np.ndarray:
    """Positions in `rows` of each bar's first value: the last restatement's, or else the oldest one.

    Args:
        rows: `unique_id`, `ds`, `known_at` of all rows of these bars, in any order.

    Returns:
        One position a bar, by series and time.
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
    """(S,) newest vintage that has nearly all bars of a series up to some date; -1 for none.

    At least `LEAST_BARS` of its rows must restate an older one. Bars that came only later, in front of the
    others or between them, are not its to restate.

    Args:
        series: (N,) of rows sorted by series, time and vintage.
        vintage: (N,) from 0.
        again: (N,) whether the row before is of the same bar.
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
    """The bars that came after one that follows them: few, and mostly of one vintage.

    Args:
        came: (B,) the vintage that brought each bar, all those of a series below those of the next.
    """
    return np.flatnonzero(came[:-1] > np.minimum.accumulate(came[::-1])[::-1][1:])
