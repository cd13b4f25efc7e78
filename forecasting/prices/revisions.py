"""Revisions: compare the offered rows with the stored bars.

A few changed bars are plain revisions. A whole past that changed by one ratio is a series that the source
adjusted again for a split or dividend. Then the bars that were not offered may have to change too, or the
series would jump where the offer begins; `reloads` decides that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.panel import Panel
from forecasting.prices.audit.splits import Split
from forecasting.prices.order import (
    bar_keys,
    encode_ids,
    instants,
    order_bars,
    ranked,
    same_as_before,
    same_values,
)
from forecasting.prices.schema import GOOD, VALUES
from forecasting.prices.vintages import LEAST_BARS

# The last decimal of a price, up to this many, bounds its rounding error.
_DECIMALS = 8
# Further relative error of a price: sources compute with floats of seven digits.
_ROUNDING = 1e-6
# A volume may deviate by this share of its change, since volumes are rounded to lots.
_VOLUME_TOLERANCE = 0.2
_TICK = np.timedelta64(1, "us")


@dataclass(frozen=True)
class Readjustment:
    """A series whose offered past differs from the stored one as a whole.

    Attributes:
        until: the last bar that changed.
        bars: number of offered bars that changed.
        ratios: factor by value column, the same for all prices; NaN if no single factor fits.
        split: whether our own back-adjustment of a split made the change, and not the source.
    """

    unique_id: str
    until: np.datetime64
    bars: int
    ratios: dict[str, float]
    split: bool = False


@dataclass(frozen=True)
class Changes:
    """The difference between an offer and the stored bars.

    Attributes:
        rows: offered rows that the store does not hold, sorted.
        revised: number of those rows that change the value of a stored bar.
        readjusted: series whose other bars may have to change too, the newest change of each series first.
    """

    rows: pa.Table
    revised: int
    readjusted: tuple[Readjustment, ...]


def find_changes(stored: pa.Table, good: pa.Table, panel: Panel, splits: Sequence[Split] = ()) -> Changes:
    """Find the offered rows that are new or differ from the stored ones.

    Args:
        stored: newest values of the bars from the oldest bar of `good` on, one row per bar.
        good: offered rows, one per bar, sorted by `unique_id`, `ds`.
        panel: its target decides whether a past was re-adjusted.
        splits: splits that `good` was adjusted for and `stored` may not be, the newest of a series first.
    """
    stored, good = _differing(stored, good, panel.audit.revision_tolerance)
    if not stored.num_rows:
        return Changes(good, 0, tuple(_split_readjustments(good, splits)))
    both = concat_encoded(stored, good)
    order = order_bars(both)
    both = both.take(order.rows)
    offered = order.rows >= stored.num_rows
    revised = offered & order.again & ~same_as_before(both, panel.audit.revision_tolerance)
    rows = both.filter(pa.array(revised | (offered & ~order.again)))
    own = tuple(_split_readjustments(rows, splits))
    many = revised.sum() >= LEAST_BARS
    by_source = _readjusted(both, np.flatnonzero(order.again), panel) if many else ()
    split_ratios = {each.unique_id: each.ratios["close"] for each in own}
    return Changes(
        rows=rows,
        revised=int(revised.sum()),
        readjusted=(
            *own,
            *(each for each in by_source if not _is_split(each, split_ratios.get(each.unique_id))),
        ),
    )


def _differing(stored: pa.Table, good: pa.Table, tolerance: float) -> tuple[pa.Table, pa.Table]:
    """The rows of both that matter: new ones, and all of the series in which a bar has another value.

    Most nights these are few of millions.
    """
    if not stored.num_rows or not good.num_rows:
        return stored, good
    theirs, ours = bar_keys(stored, good)
    at = np.minimum(np.searchsorted(theirs, ours), len(theirs) - 1)
    known = theirs[at] == ours
    changed = np.zeros(good.num_rows, dtype=bool)
    for name in VALUES:
        if stored[name].null_count == len(stored) and good[name].null_count == len(good):
            continue
        new, old = good[name].to_numpy(), stored[name].to_numpy()[at]
        changed |= known & ~same_values(new, old, tolerance)
    ids = pc.unique(good["unique_id"].filter(pa.array(changed))).cast(pa.string())
    of_changed = pc.is_in(good["unique_id"].cast(pa.string()), ids) if len(ids) else pa.array(~known)
    return (
        stored.filter(pc.is_in(stored["unique_id"].cast(pa.string()), ids)),
        good.filter(pc.or_(of_changed, pa.array(~known))),
    )


def _split_readjustments(rows: pa.Table, splits: Sequence[Split]) -> Iterator[Readjustment]:
    """Re-adjustments by our own split adjustment, for splits with new or changed `rows` before them."""
    if not splits:
        return
    oldest = rows.group_by("unique_id").aggregate([("ds", "min")])
    first = dict(zip(oldest["unique_id"].to_pylist(), instants(oldest["ds_min"]), strict=True))
    for split in splits:
        if split.unique_id in first and first[split.unique_id] < split.ds:
            ratios = dict.fromkeys(VALUES, split.ratio) | {"volume": 1 / split.ratio}
            yield Readjustment(split.unique_id, split.ds - _TICK, 0, ratios, split=True)


def _is_split(change: Readjustment, ratio: float | None) -> bool:
    """Whether a change is explained by the back-adjustment of a split by `ratio`.

    A change without a single ratio (NaN) is not.
    """
    changed = change.ratios["close"]
    return ratio is not None and bool(abs(np.log(changed / ratio)) <= abs(np.log(changed)))


def _readjusted(both: pa.Table, at: np.ndarray, panel: Panel) -> Iterator[Readjustment]:
    """The series in which every bar from the oldest offered one to the last changed one has changed.

    Args:
        both: stored and offered rows by series and time.
        at: positions where an offered row follows the stored row of the same bar.
        panel: its target is the price to compare.
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
    """(S,) factor by which all prices of each series were multiplied; NaN if no single factor fits.

    Each price may be off by one unit of its last decimal, before and after. The factor is also NaN where a
    shift fits (back-adjusted futures): for a price that hardly moved, a shift and a factor look the same.
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
    """(S,) approximate factor by which all volumes of each series were multiplied; NaN if none fits."""
    known = np.isfinite(old) & np.isfinite(new)
    old, new = np.where(known, old, 0), np.where(known, new, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.bincount(series, new) / np.bincount(series, old)
        expected = ratio[series] * old
        fits = np.abs(new - expected) <= _VOLUME_TOLERANCE * np.abs(expected - old)
    ratio[np.bincount(series, ~fits) > 0] = np.nan
    return ratio


def _last_decimal(values: np.ndarray) -> np.ndarray:
    """(N,) unit of the last decimal of each value."""
    unit = np.full(len(values), 10.0**-_DECIMALS)
    for decimals in reversed(range(_DECIMALS)):
        scaled = values * 10.0**decimals
        unit[np.abs(scaled - np.round(scaled)) <= 1e-12 * np.abs(scaled)] = 10.0**-decimals
    return unit


def price_column(panel: Panel) -> str:
    """The value column that shows a re-adjusted past."""
    return "close" if panel.forecast.target == "volume" else panel.forecast.target


def concat_encoded(*tables: pa.Table) -> pa.Table:
    """The rows of several tables with the columns of `schema.GOOD`, ids dictionary-encoded."""
    return pa.concat_tables([encode_ids(table.select(GOOD.names)) for table in tables]).combine_chunks()
