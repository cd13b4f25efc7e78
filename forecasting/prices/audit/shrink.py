"""The audit of a source as a whole: does it still offer what it offered before?"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.as_of import as_of_label
from forecasting.calendar import BarCalendar
from forecasting.errors import AuditError
from forecasting.panel import Panel
from forecasting.prices.audit import rules
from forecasting.prices.order import instants, series_ranks


def check_not_shrunk(good: pa.Table, stored: pa.Table, panel: Panel, calendar: BarCalendar) -> None:
    """Stop when a source lost most of the bars that its live series are known to have.

    The prices themselves are the memory: of the bars stored since the first one that is offered now, those
    of live series must still be there. So a source that only offers what is new passes, one that was cut
    short or is now refused does not, and a series that ended is not missed for ever.

    Args:
        good: the rows that the source offers and the audit lets pass, `schema.GOOD`; not empty only because
            nothing was offered.
        stored: `unique_id`, `ds` of the bars that the price table has, at least from the first offered one.
        panel: its `max_shrink`, and the `min_bars` below which nothing is said.
        calendar: the panel's.

    Raises:
        AuditError: the source shrank.
    """
    stored = _live(stored, panel, calendar)
    if good.num_rows:
        stored = stored.filter(pc.greater_equal(stored["ds"], pc.min(good["ds"])))
    expected = stored.num_rows
    if expected < panel.audit.min_bars:
        return
    newest = pc.max(stored["ds"])
    ids = pc.unique(stored["unique_id"]).cast(pa.string())
    good = good.filter(pc.and_(pc.is_in(good["unique_id"], ids), pc.less_equal(good["ds"], newest)))
    if good.num_rows >= (1 - panel.audit.max_shrink) * expected:
        return
    rule = rules.SHRANK
    series = [len(pc.unique(table["unique_id"])) for table in (good, stored)]
    first = as_of_label(instants(stored["ds"]).min(), panel.bars.freq)
    raise AuditError(
        f"{rule.code} {rule.name}: of {expected} bars that panel {panel.name} has of live series since "
        f"{first}, its source now offers {good.num_rows}, of {series[0]} series instead of {series[1]}; the "
        "last forecast stands: check the source, or set [audit].max_shrink = 1 in the panel if that is meant"
    )


def _live(stored: pa.Table, panel: Panel, calendar: BarCalendar) -> pa.Table:
    """The rows of series whose last bar is at most `stale_bars` behind the newest of all."""
    if not stored.num_rows:
        return stored
    series = series_ranks(stored["unique_id"])
    position = calendar.position(instants(stored["ds"]))
    last = np.zeros(series.max() + 1, dtype=np.int64)
    np.maximum.at(last, series, position)
    return stored.filter(pa.array((last >= last.max() - panel.audit.stale_bars)[series]))
