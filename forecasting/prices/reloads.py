"""Reloads: the bars that were not offered, and yet change with those that were.

The offered bars of a series have all been multiplied by one ratio. Either they were adjusted, and the bars
before them, which the source did not offer again, are to follow; or they were wrong before and are right now,
and the others are to stay. The seams between the two, where the series goes on from one to the other, tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.findings import Action, Finding, Severity
from forecasting.panel import Panel
from forecasting.prices.audit import rules
from forecasting.prices.order import encode_ids, instants, order_bars, ranked, series_offsets
from forecasting.prices.revisions import Readjustment, price_column, together
from forecasting.prices.schema import GOOD, VALUES

# By so many usual changes the seams may be worse for multiplying: a dividend is less than a day's move.
_USUAL_CHANGES = 3


@dataclass(frozen=True)
class Reload:
    """What becomes of the bars that were not offered.

    Attributes:
        rows: those that change, multiplied; `schema.GOOD`.
        findings: on each series that the source re-adjusted.
    """

    rows: pa.Table
    findings: tuple[Finding, ...]


NOTHING = Reload(GOOD.empty_table(), ())


def reload(past: pa.Table, good: pa.Table, readjusted: Sequence[Readjustment], panel: Panel) -> Reload:
    """The bars that change with the offered ones, multiplied.

    Args:
        past: the newest values of the re-adjusted series, one row a bar.
        good: all that is offered, one row a bar.
        readjusted: one or more.
        panel: its `readjust` says whether to follow the source at all.
    """
    ids = pa.array(sorted({each.unique_id for each in readjusted}))
    both = together(past, good.filter(pc.is_in(good["unique_id"].cast(pa.string()), ids)))
    newest = order_bars(both).last
    both, older = encode_ids(both.take(newest)), newest < past.num_rows
    series, names = ranked(both["unique_id"])
    ds, prices = instants(both["ds"]), both[price_column(panel)].to_numpy().copy()
    factors = {name: np.ones(len(ds)) for name in VALUES}
    changed, findings = np.zeros(len(ds), dtype=bool), []
    rank = {name: at for at, name in enumerate(names.to_pylist())}
    offsets = series_offsets(series, len(names))
    for each in readjusted:
        start, end = offsets[rank[each.unique_id] :][:2]
        those = slice(start, start + np.searchsorted(ds[start:end], each.until, side="right"))
        follow = start + np.flatnonzero(older[those])
        ratio = each.ratios[price_column(panel)]
        follows = _follows(prices[those], older[those], each, panel)
        if follows:
            changed[follow] = True
            prices[follow] *= ratio
            for name in VALUES:
                factors[name][follow] *= each.ratios[name]
        if not each.split and (len(follow) or np.isfinite(ratio)):
            findings.append(_finding(each, len(follow), panel, followed=follows))
    for place, name in enumerate(both.column_names):
        if name in VALUES:
            both = both.set_column(place, name, pc.multiply(both[name], pa.array(factors[name])))
    return Reload(both.filter(pa.array(changed)).cast(GOOD), tuple(findings))


def _follows(prices: np.ndarray, older: np.ndarray, change: Readjustment, panel: Panel) -> bool:
    """Whether a series goes on better at the seams with its other bars multiplied than as they are.

    Args:
        prices: (N,) of its bars up to the last that changed, in their order; NaN where unknown.
        older: (N,) bool; which of them were not offered.
        change: what happened to the offered ones.
        panel: whether to follow the source.
    """
    ratio = change.ratios[price_column(panel)]
    known = np.isfinite(prices)
    prices, older = prices[known], older[known]
    seams = np.flatnonzero(older[1:] != older[:-1])
    if not (len(seams) and np.isfinite(ratio) and (change.split or panel.audit.readjust)):
        return False
    kept, multiplied = prices, np.where(older, prices * ratio, prices)
    if (prices > 0).all():
        kept, multiplied = np.log(kept), np.log(multiplied)
    kept, multiplied = np.abs(np.diff(kept)), np.abs(np.diff(multiplied))
    # A split is no matter of doubt: only whether these bars have been adjusted for it already.
    offered = ~older[1:] & ~older[:-1]
    usual = 0.0 if change.split or not offered.any() else float(np.median(kept[offered]))
    return bool(multiplied[seams].mean() < kept[seams].mean() + _USUAL_CHANGES * usual)


def _finding(change: Readjustment, older: int, panel: Panel, *, followed: bool) -> Finding:
    """What the source did, and what became of the `older` bars that it did not offer again."""
    ratio, until = change.ratios[price_column(panel)], panel.label(change.until)
    others = f"the store's {older} other bars up to then"
    if followed:
        what = f"the source multiplied its {change.bars} bars up to {until} by {ratio:.6g}; so were {others}"
        finding = Finding.of(rules.READJUSTED, change.unique_id, change.bars + older, what)
        return replace(finding, severity=Severity.WARNING)
    severity = Severity.INFO
    if np.isnan(ratio):
        what = f"the source changed all its {change.bars} bars up to {until}, but not clearly by one ratio"
        what += f": {others} stay; if they should change too, let the source offer them again"
        severity = Severity.WARNING
    else:
        what = f"the source multiplied its {change.bars} bars up to {until} by {ratio:.6g}"
        if older and panel.audit.readjust:
            what += f"; {others} stay, which go on better as they are"
        elif older:
            what += f"; {others} stay, as [audit].readjust = false has it"
    finding = Finding.of(rules.READJUSTED, change.unique_id, change.bars, what)
    return replace(finding, severity=severity, action=Action.NOTE)
