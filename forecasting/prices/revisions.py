"""Revisions: what an offer says anew about bars that the store knows.

A few changed bars are revisions of just these. A past that changed by one ratio is a stock that was adjusted
again for a split or dividend: then the bars that were not offered change with it, or the series would jump
where the offer begins. Which do, `reloads` says.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from forecasting.panel import Panel
from forecasting.prices.audit.splits import Split
from forecasting.prices.order import encode_ids, instants, order_bars, ranked, same_as_before
from forecasting.prices.schema import GOOD, VALUES
from forecasting.prices.vintages import LEAST_BARS

# Up to so many decimals, a price's own last one tells how far it may be rounded.
_DECIMALS = 8
# What else a price may be off, as a share of it: sources compute with floats of seven digits.
_ROUNDING = 1e-6
# A volume may be off by so much of its change: it is rounded to lots, and nobody shifts it.
_VOLUME_TOLERANCE = 0.2
_TICK = np.timedelta64(1, "us")


@dataclass(frozen=True)
class Readjustment:
    """One series whose past, as far as it is offered, is another than before.

    Attributes:
        until: the last bar that changed.
        bars: how many of the offered bars did.
        ratios: what they were multiplied by, by value column, the same for all prices; NaN where no one
            number tells it.
        split: whether it is the back-adjustment of a split, and none of the source's.
    """

    unique_id: str
    until: np.datetime64
    bars: int
    ratios: dict[str, float]
    split: bool = False


@dataclass(frozen=True)
class News:
    """What an offer adds to the prices.

    Attributes:
        rows: the offered rows that the store does not hold, sorted.
        revised: how many of them give another value to a bar that the store has.
        readjusted: the series whose other bars may have to change with them; newest first in each.
    """

    rows: pa.Table
    revised: int
    readjusted: tuple[Readjustment, ...]


def compare(stored: pa.Table, good: pa.Table, panel: Panel, splits: Sequence[Split] = ()) -> News:
    """What the rows of `good` say that those of `stored` do not.

    Args:
        stored: the newest values of the bars from the oldest of `good` on, one row a bar.
        good: one row a bar, sorted by `unique_id`, `ds`.
        panel: its target tells whether a past was re-adjusted.
        splits: those that `good` was adjusted for and `stored` may not be, the newest of a series first.
    """
    if not stored.num_rows:
        return News(good, 0, tuple(_ours(good, splits)))
    both = together(stored, good)
    order = order_bars(both)
    both = both.take(order.rows)
    offered = order.rows >= stored.num_rows
    revised = offered & order.again & ~same_as_before(both)
    rows = both.filter(pa.array(revised | (offered & ~order.again)))
    ours = tuple(_ours(rows, splits))
    many = revised.sum() >= LEAST_BARS
    theirs = _readjusted(both, np.flatnonzero(order.again), panel) if many else ()
    own = {each.unique_id: each.ratios["close"] for each in ours}
    return News(
        rows=rows,
        revised=int(revised.sum()),
        readjusted=(*ours, *(each for each in theirs if not _is_split(each, own.get(each.unique_id)))),
    )


def _ours(rows: pa.Table, splits: Sequence[Split]) -> Iterator[Readjustment]:
    """The splits that make other bars of what the store has, or has not yet: `rows` are what it lacks."""
    if not splits:
        return
    oldest = rows.group_by("unique_id").aggregate([("ds", "min")])
    first = dict(zip(oldest["unique_id"].to_pylist(), instants(oldest["ds_min"]), strict=True))
    for split in splits:
        if split.unique_id in first and first[split.unique_id] < split.ds:
            ratios = dict.fromkeys(VALUES, split.ratio) | {"volume": 1 / split.ratio}
            yield Readjustment(split.unique_id, split.ds - _TICK, 0, ratios, split=True)


def _is_split(change: Readjustment, ratio: float | None) -> bool:
    """Whether a change is what the back-adjustment of a split by `ratio` makes of a raw past.

    A change without a single ratio (NaN) is not.
    """
    changed = change.ratios["close"]
    return ratio is not None and bool(abs(np.log(changed / ratio)) <= abs(np.log(changed)))


def _readjusted(both: pa.Table, at: np.ndarray, panel: Panel) -> Iterator[Readjustment]:
    """The series whose bars, from the oldest offered one to the last that changed, have all changed.

    Args:
        both: stored and offered rows by series and time.
        at: where an offered row follows the stored one of its bar.
        panel: its target is the price to look at.
    """
    price = price_column(panel)
    values = {name: both[name].to_numpy() for name in (price, "volume")}  # NaN where null
    at = at[np.isfinite(values[price][at]) & np.isfinite(values[price][at - 1])]
    series, ids = ranked(both["unique_id"].take(at))
    moved = values[price][at] != values[price][at - 1]
    changed = np.flatnonzero(moved)
    last = np.full(len(ids), -1)
    np.maximum.at(last, series[changed], changed)
    early = np.arange(len(at)) <= last[series]
    pairs, series = at[early], series[early]
    ratio = _price_ratio(values[price][pairs - 1], values[price][pairs], series)
    turnover = _volume_ratio(values["volume"][pairs - 1], values["volume"][pairs], series)
    counts = np.bincount(series)
    all_changed = np.bincount(series[~moved[early]], minlength=len(counts)) == 0
    for each in np.flatnonzero((counts >= LEAST_BARS) & (all_changed | np.isfinite(ratio))):
        own = {"volume": float(np.nan_to_num(turnover[each], nan=1))}
        yield Readjustment(
            unique_id=ids[each].as_py(),
            until=instants(both["ds"])[at[last[each]]],
            bars=int(counts[each]),
            ratios=dict.fromkeys(VALUES, float(ratio[each])) | own,
        )


def _price_ratio(old: np.ndarray, new: np.ndarray, series: np.ndarray) -> np.ndarray:
    """(S,) what each series' prices have all been multiplied by; NaN where by no one number.

    But for rounding: each price may be off by one in its last decimal, as may the one that it was made from.
    A past that was shifted (back-adjusted futures) fits no ratio so well; where a shift fits too, as of a
    price that hardly moved, nothing tells them apart.
    """
    counts = np.bincount(series)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.bincount(series, np.abs(new)) / np.bincount(series, np.abs(old))
        shift = np.bincount(series, new - old) / counts
        slack = _last_decimal(new) + _ROUNDING * np.abs(new)
        off = np.abs(new - ratio[series] * old) - slack - ratio[series] * _last_decimal(old)
        off_shift = np.abs(new - old - shift[series]) - slack - _last_decimal(old)
    misfits = np.bincount(series, ~(off <= 0))
    ratio[(misfits > 0) | (np.bincount(series, off_shift > 0) == 0) | (ratio == 0)] = np.nan
    return ratio


def _volume_ratio(old: np.ndarray, new: np.ndarray, series: np.ndarray) -> np.ndarray:
    """(S,) what each series' volumes have all been multiplied by, about; NaN where by no one number."""
    known = np.isfinite(old) & np.isfinite(new)
    old, new = np.where(known, old, 0), np.where(known, new, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.bincount(series, new) / np.bincount(series, old)
        expected = ratio[series] * old
        fits = np.abs(new - expected) <= _VOLUME_TOLERANCE * np.abs(expected - old)
    ratio[np.bincount(series, ~fits) > 0] = np.nan
    return ratio


def _last_decimal(values: np.ndarray) -> np.ndarray:
    """(N,) the unit of the last decimal that each value is written with."""
    unit = np.full(len(values), 10.0**-_DECIMALS)
    for decimals in reversed(range(_DECIMALS)):
        scaled = values * 10.0**decimals
        unit[np.abs(scaled - np.round(scaled)) <= 1e-12 * np.abs(scaled)] = 10.0**-decimals
    return unit


def price_column(panel: Panel) -> str:
    """The column that tells a re-adjusted past."""
    return "close" if panel.forecast.target == "volume" else panel.forecast.target


def together(*tables: pa.Table) -> pa.Table:
    """The rows of several tables, `schema.GOOD` with each id in memory once."""
    return pa.concat_tables([encode_ids(table.select(GOOD.names)) for table in tables]).combine_chunks()
