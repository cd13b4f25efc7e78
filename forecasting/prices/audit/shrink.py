"""The audit of a source as a whole: does it still offer what it offered before?"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.errors import AuditError
from forecasting.findings import Finding, name_some
from forecasting.panel import Panel
from forecasting.prices.audit import rules
from forecasting.prices.audit.rows import RowAudit
from forecasting.prices.order import instants, ranked, series_offsets

_NAMED = 10


@dataclass(frozen=True)
class Extent:
    """How much a source offered, of rows that the audit let pass.

    Attributes:
        rows: how many.
        first: the first of their bars, as in paths; empty where there are none.
    """

    rows: int
    first: str

    @classmethod
    def of(cls, good: pa.Table, panel: Panel) -> Self:
        """That of the rows of `schema.GOOD`."""
        if not good.num_rows:
            return cls(0, "")
        return cls(good.num_rows, panel.label(instants(good["ds"]).min()))


@dataclass(frozen=True)
class Loss:
    """What the store has of live series, and their source no longer.

    Attributes:
        bars: how many bars.
        series: the ids of those series of which the source offers no row at all.
    """

    bars: int = 0
    series: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """One for the panel where series vanished."""
        if not self.series:
            return ()
        some = name_some(self.series, _NAMED)
        detail = f"the source no longer offers {len(self.series)} live series: {some}; check the source"
        return (Finding.of(rules.VANISHED, "", len(self.series), detail),)


def check_extent(audit: RowAudit, before: Extent, panel: Panel) -> None:
    """Stop when a source that offers all it has offers far less of it than last time.

    So a file that lost its past is noticed, and one that only ever has the last 200 days is none such.

    Raises:
        AuditError: the source shrank.
    """
    if before.rows < panel.audit.min_bars:
        return
    if audit.good.num_rows >= (1 - panel.audit.max_shrink) * before.rows:
        return
    now = Extent.of(audit.good, panel)
    since = f" since {now.first}" if now.first else ""
    raise _shrank(
        f"panel {panel.name}'s source offered {before.rows} good rows since {before.first} last time, "
        f"and now offers {now.rows}{since}",
        audit,
    )


def check_overlap(audit: RowAudit, stored: pa.Table, missing: int, panel: Panel) -> Loss:
    """Stop when a source lost most of the bars that its live series are known to have.

    The prices themselves are the memory: those stored of live series must still be there. A series that ended
    is not missed for ever.

    Args:
        audit: what became of the offered rows.
        stored: the bars of the price table that the source should have, sorted by `unique_id`, `ds`.
        missing: how many of them it is known, and was said, not to have.
        panel: its `max_shrink`, and the `min_bars` below which nothing is said, unless a query finds nothing.

    Returns:
        What is missing, where that is not too much.

    Raises:
        AuditError: the source shrank.
    """
    stored = _live(stored, panel)
    if not stored.num_rows:
        return Loss()
    ids = pc.unique(stored["unique_id"]).cast(pa.string())
    good, ds = audit.good, instants(stored["ds"])
    in_time = pc.and_(
        pc.greater_equal(good["ds"], pc.min(stored["ds"])), pc.less_equal(good["ds"], pc.max(stored["ds"]))
    )
    good = good.filter(pc.and_(pc.is_in(good["unique_id"], ids), in_time))
    # A file may hold nothing but `N/A` today; a query that finds no bar of the overlap is another matter.
    empty = bool(panel.source.query) and not audit.offered
    expected, least = stored.num_rows, 1 if empty else panel.audit.min_bars
    lost = max(0, expected - good.num_rows)
    if expected >= least and lost - missing > panel.audit.max_shrink * expected:
        raise _shrank(
            f"of {expected} bars that panel {panel.name} has of live series since "
            f"{panel.label(ds.min())}, its source now offers {good.num_rows} good ones, of "
            f"{len(pc.unique(good['unique_id']))} series instead of {len(ids)}",
            audit,
        )
    return Loss(lost, _absent(ids, audit))


def _shrank(what: str, audit: RowAudit) -> AuditError:
    refused = ""
    if audit.refused.num_rows:
        most = max(pc.value_counts(audit.refused["code"]).to_pylist(), key=lambda each: each["counts"])
        name = rules.RULES[most["values"]].name
        refused = (
            f"; {audit.refused.num_rows} rows were refused, {most['counts']} of them for {most['values']} "
            f"{name}: see the quarantine"
        )
    detail = (
        f"{what}{refused}; the last forecast stands: check the source, or set "
        "[audit].max_shrink = 1 in the panel for one run if that is meant"
    )
    return AuditError.of(Finding.of(rules.SHRANK, "", audit.offered, detail), audit.findings)


def _absent(ids: pa.Array, audit: RowAudit) -> tuple[str, ...]:
    """Those ids of which not even refused rows were offered, sorted."""
    offered = pa.concat_arrays(
        [pc.unique(rows["unique_id"]).cast(pa.string()) for rows in (audit.good, audit.refused)]
    )
    return tuple(sorted(ids.filter(pc.invert(pc.is_in(ids, offered))).to_pylist()))


def _live(stored: pa.Table, panel: Panel) -> pa.Table:
    """The rows of series whose last bar is at most `stale_bars` behind the newest of all."""
    if not stored.num_rows:
        return stored
    series, names = ranked(stored["unique_id"])
    offsets = np.unique(series_offsets(series, len(names)))
    last = panel.calendar.position(instants(stored["ds"])[offsets[1:] - 1])
    live = last >= last.max() - panel.audit.stale_bars
    if live.all():
        return stored
    return stored.filter(pa.array(np.repeat(live, np.diff(offsets))))
