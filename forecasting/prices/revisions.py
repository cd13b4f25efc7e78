"""Revisions: what an offer says anew about bars that the store knows.

A few changed bars are revisions of just these. A past that changed by one ratio is a stock that was adjusted
again for a split or dividend: then the bars before the offered ones change with it, or the series would jump
where the offer begins.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.as_of import as_of_label
from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.audit import rules
from forecasting.prices.order import encode_ids, instants, order_bars, ranked, same_as_before
from forecasting.prices.schema import GOOD, VALUES
from forecasting.prices.vintages import LEAST_BARS

# How far a changed bar may be from the common ratio, as a share of the change: prices are rounded.
_TOLERANCE = 0.2


@dataclass(frozen=True)
class Readjustment:
    """One series whose past the source has multiplied.

    Attributes:
        until: the last bar that changed.
        bars: how many of the offered bars did.
        ratios: by value column, the same for all prices.
    """

    unique_id: str
    until: np.datetime64
    bars: int
    ratios: dict[str, float]

    def finding(self, older: int, panel: Panel) -> Finding:
        """It as a finding; `older` is how many bars that were not offered changed with the offered ones."""
        ratio, until = self.ratios[_price(panel)], as_of_label(self.until, panel.bars.freq)
        detail = (
            f"the source multiplied its {self.bars} bars up to {until} by {ratio:.6g}; "
            f"so were the store's {older} other bars up to then"
        )
        return Finding.of(rules.READJUSTED, self.unique_id, self.bars + older, detail)


@dataclass(frozen=True)
class News:
    """What an offer adds to the prices.

    Attributes:
        rows: the offered rows that the store does not hold, sorted.
        revised: how many of them give another value to a bar that the store has.
        readjusted: the series whose other bars have to change with them.
    """

    rows: pa.Table
    revised: int
    readjusted: tuple[Readjustment, ...]


def compare(stored: pa.Table, good: pa.Table, panel: Panel) -> News:
    """What the rows of `good` say that those of `stored` do not.

    Args:
        stored: the newest values of the bars from the oldest of `good` on, one row a bar.
        good: one row a bar, sorted by `unique_id`, `ds`.
        panel: its target tells whether a past was re-adjusted.
    """
    if not stored.num_rows:
        return News(good, 0, ())
    both = _together(stored, good)
    order = order_bars(both)
    both = both.take(order.rows)
    offered = order.rows >= stored.num_rows
    revised = offered & order.again & ~same_as_before(both)
    new = offered & ~order.again
    many = revised.sum() >= LEAST_BARS
    return News(
        rows=both.filter(pa.array(new | revised)),
        revised=int(revised.sum()),
        readjusted=tuple(_readjusted(both, np.flatnonzero(order.again), panel)) if many else (),
    )


def readjust(past: pa.Table, offered: pa.Table, readjusted: Sequence[Readjustment]) -> pa.Table:
    """The bars that change with the offered ones, multiplied.

    Args:
        past: the newest values of the re-adjusted series, one row a bar.
        offered: all that the source offers itself, one row a bar.
        readjusted: one or more.
    """
    both = _together(past, offered)
    last = order_bars(both).last
    older = both.take(last[last < past.num_rows])
    names = pa.array([each.unique_id for each in readjusted])
    which = pc.index_in(older["unique_id"].cast(pa.string()), value_set=names).to_numpy()
    changed = instants(older["ds"]) <= np.array([each.until for each in readjusted])[which]
    older, which = older.filter(pa.array(changed)), which[changed]
    for at, name in enumerate(older.column_names):
        if name in VALUES:
            ratios = np.array([each.ratios[name] for each in readjusted])[which]
            older = older.set_column(at, name, pc.multiply(older[name], pa.array(ratios)))
    return older


def _readjusted(both: pa.Table, at: np.ndarray, panel: Panel) -> Iterator[Readjustment]:
    """The series whose bars, from the oldest offered one to the last that changed, all changed by one ratio.

    Args:
        both: stored and offered rows by series and time.
        at: where an offered row follows the stored one of its bar.
        panel: its target is the price to look at.
    """
    price = _price(panel)
    values = {name: both[name].to_numpy() for name in VALUES}  # NaN where null
    at = at[np.isfinite(values[price][at]) & np.isfinite(values[price][at - 1])]
    series, ids = ranked(both["unique_id"].take(at))
    changed = np.flatnonzero(values[price][at] != values[price][at - 1])
    last = np.full(len(ids), -1)
    np.maximum.at(last, series[changed], changed)
    early = np.arange(len(at)) <= last[series]
    pairs, series = at[early], series[early]
    ratios = {
        name: _common_ratio(column[pairs - 1], column[pairs], series) for name, column in values.items()
    }
    counts = np.bincount(series)
    for each in np.flatnonzero((counts >= LEAST_BARS) & np.isfinite(ratios[price])):
        own = {"volume": float(np.nan_to_num(ratios["volume"][each], nan=1))}
        yield Readjustment(
            unique_id=ids[each].as_py(),
            until=instants(both["ds"])[at[last[each]]],
            bars=int(counts[each]),
            ratios=dict.fromkeys(VALUES, float(ratios[price][each])) | own,
        )


def _common_ratio(old: np.ndarray, new: np.ndarray, series: np.ndarray) -> np.ndarray:
    """(S,) what each series' values have all been multiplied by; NaN where by no one number."""
    known = np.isfinite(old) & np.isfinite(new)
    old, new = np.where(known, old, 0), np.where(known, new, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.bincount(series, np.abs(new)) / np.bincount(series, np.abs(old))
        expected = ratio[series] * old
        fits = np.abs(new - expected) <= _TOLERANCE * np.abs(expected - old)
    ratio[np.bincount(series, ~fits) > 0] = np.nan
    return ratio


def _price(panel: Panel) -> str:
    """The column that tells a re-adjusted past."""
    return "close" if panel.forecast.target == "volume" else panel.forecast.target


def _together(*tables: pa.Table) -> pa.Table:
    return pa.concat_tables([encode_ids(table.select(GOOD.names)) for table in tables]).combine_chunks()
