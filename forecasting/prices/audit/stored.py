"""The audit of stored bars: those that came in under other settings than the panel has now."""

from collections.abc import Iterator

import numpy as np

from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.audit import rules
from forecasting.prices.bars import Bars


def is_usable(bars: Bars, panel: Panel) -> np.ndarray:
    """(N,) bool; whether each bar is on the panel's calendar, and has a logarithm where one is taken.

    The price table forgets nothing: what an earlier calendar or transform let in stays there.
    """
    usable: np.ndarray = panel.calendar.contains(bars.ds)
    if panel.forecast.transform == "log":
        usable &= bars.y > 0
    return usable


def unused_findings(bars: Bars, usable: np.ndarray, panel: Panel) -> Iterator[Finding]:
    """One finding for each series with bars that are not `usable` (N,)."""
    unused = bars.keep(~usable)
    for name, at, count in zip(unused.ids, unused.last, unused.lengths, strict=True):
        last = panel.label(unused.ds[at])
        detail = (
            f"{count} bars in the store, the last of {last} at {unused.y[at]:g}, are not on calendar "
            f"{panel.bars.calendar} or have no logarithm; "
            "check [bars] and [forecast].transform, or give the panel another name"
        )
        yield Finding.of(rules.NOT_USED, name, int(count), detail)
