"""Reloads: stored bars that change although the source did not offer them again.

The source multiplied all offered bars of a series by one ratio. Either it adjusted the series, so the bars
that it did not offer must be multiplied too; or it corrected wrong bars, so the others must stay. The size of
the price change at each seam between offered and other bars decides.
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
from forecasting.prices.revisions import Readjustment, concat_encoded, price_column
from forecasting.prices.schema import GOOD, VALUES

# Multiplying may enlarge the changes at the seams by this many usual changes: a dividend is less than a day's
# move.
_USUAL_CHANGES = 3


@dataclass(frozen=True)
class Reload:
    """The changes to bars that were not offered.

    Attributes:
        rows: the bars that change, with their new values; `schema.GOOD`.
        findings: one for each series that the source re-adjusted.
    """

    rows: pa.Table
    findings: tuple[Finding, ...]


NOTHING = Reload(GOOD.empty_table(), ())


def reload(past: pa.Table, good: pa.Table, readjusted: Sequence[Readjustment], panel: Panel) -> Reload:
    """Multiply the stored bars that must follow a re-adjustment of the offered ones.

    Args:
        past: newest stored values of the re-adjusted series, one row per bar.
        good: all offered rows, one row per bar.
        readjusted: at least one re-adjustment.
        panel: `[audit].readjust` says whether to follow the source at all.
    """
    ids = pa.array(sorted({each.unique_id for each in readjusted}))
    both = concat_encoded(past, good.filter(pc.is_in(good["unique_id"].cast(pa.string()), ids)))
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
        if not each.split:
            findings.append(_finding(each, len(follow), panel, followed=follows))
    for place, name in enumerate(both.column_names):
        if name in VALUES:
            both = both.set_column(place, name, pc.multiply(both[name], pa.array(factors[name])))
    return Reload(both.filter(pa.array(changed)).cast(GOOD), tuple(findings))


def _follows(prices: np.ndarray, older: np.ndarray, change: Readjustment, panel: Panel) -> bool:
    """Whether the changes at the seams are smaller with the other bars multiplied than as they are.

    Args:
        prices: (N,) prices of the series up to the last changed bar, in order; NaN where unknown.
        older: (N,) bool; the bars that were not offered.
        change: the re-adjustment of the offered bars.
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
    # A split is certain. The only question is whether these bars have been adjusted for it already.
    offered = ~older[1:] & ~older[:-1]
    usual = 0.0 if change.split or not offered.any() else float(np.median(kept[offered]))
    return bool(multiplied[seams].mean() < kept[seams].mean() + _USUAL_CHANGES * usual)


def _finding(change: Readjustment, older: int, panel: Panel, *, followed: bool) -> Finding:
    """What the source did, and what happened to the `older` bars that it did not offer again."""
    ratio, until = change.ratios[price_column(panel)], panel.label(change.until)
    others = f"the {older} other stored bars up to then"
    if followed:
        what = (
            f"the source multiplied its {change.bars} bars up to {until} by {ratio:.6g}; "
            f"{others} were multiplied too"
        )
        finding = Finding.of(rules.READJUSTED, change.unique_id, change.bars + older, what)
        return replace(finding, severity=Severity.WARNING)
    severity = Severity.INFO
    if np.isnan(ratio):
        what = f"the source changed all its {change.bars} bars up to {until}, but not by one ratio"
        if older:
            what += f": {others} stay unchanged; if they should change too, let the source offer them again"
        else:
            what += ": if it computes with few digits, raise [audit].revision_tolerance"
        severity = Severity.WARNING
    else:
        what = f"the source multiplied its {change.bars} bars up to {until} by {ratio:.6g}"
        if older and panel.audit.readjust:
            what += f"; {others} stay unchanged, because they join the new prices better that way"
        elif older:
            what += f"; {others} stay unchanged, because [audit].readjust = false"
    finding = Finding.of(rules.READJUSTED, change.unique_id, change.bars, what)
    return replace(finding, severity=severity, action=Action.NOTE)
