"""The audit of stored bars: which of them the panel still accepts under its current settings."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from forecasting.findings import Finding
from forecasting.formats import format_count
from forecasting.panel import Panel
from forecasting.prices.audit import rules
from forecasting.prices.bars import Bars


def is_usable(bars: Bars, panel: Panel) -> np.ndarray:
    """(N,) bool; whether each bar is on the panel's calendar, and positive if the panel takes logarithms.

    Bars that were accepted under an earlier calendar or transform stay in the price table.
    """
    usable: np.ndarray = panel.calendar.contains(bars.ds)
    if panel.forecast.transform == "log":
        usable &= bars.y > 0
    return usable


def usable_bars(rows: pa.Table, panel: Panel) -> Bars:
    """The bars among stored rows that the panel accepts.

    Args:
        rows: rows of the price table, one per bar, with the panel's target.
        panel: its calendar, target and transform decide.
    """
    bars = Bars.from_table(rows, panel.forecast.target)
    return bars.keep(is_usable(bars, panel))


def unused_findings(bars: Bars, usable: np.ndarray, panel: Panel) -> Iterator[Finding]:
    """One finding for each series that has bars which are not `usable` (N,)."""
    unused = bars.keep(~usable)
    for name, at, count in zip(unused.ids, unused.last, unused.lengths, strict=True):
        last = panel.label(unused.ds[at])
        detail = (
            f"{format_count(count, 'stored bar')}, the last on {last} at {unused.y[at]:g}, not on calendar "
            f"{panel.bars.calendar} or without a logarithm; "
            "check [bars] and [forecast].transform, or give the panel another name"
        )
        yield Finding.of(rules.NOT_USED, name, int(count), detail)
