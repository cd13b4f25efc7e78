"""The audit of a source as a whole: whether it still offers what it offered before."""

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
    """The extent of the good rows that a source offered.

    Attributes:
        rows: number of rows.
        first: their first bar, as written in paths; empty if there are no rows.
    """

    rows: int
    first: str

    @classmethod
    def of(cls, good: pa.Table, panel: Panel) -> Self:
        """The extent of the rows of `good` (`schema.GOOD`)."""
        if not good.num_rows:
            return cls(0, "")
        return cls(good.num_rows, panel.label(instants(good["ds"]).min()))


@dataclass(frozen=True)
class Loss:
    """Stored bars of live series that the source no longer offers.

    Attributes:
        bars: number of bars.
        series: ids of the series of which the source offers no row at all.
    """

    bars: int = 0
    series: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """One finding for the panel if series vanished."""
        if not self.series:
            return ()
        some = name_some(self.series, _NAMED)
        detail = f"the source no longer offers {len(self.series)} live series: {some}; check the source"
        return (Finding.of(rules.VANISHED, "", len(self.series), detail),)


def check_extent(audit: RowAudit, before: Extent, panel: Panel) -> None:
    """Stop if a source that is read completely offers far fewer rows than last time.

    This notices a file that lost its past. A file that always holds the last 200 days passes.

    Raises:
        AuditError: the source shrank.
    """
    if before.rows < panel.audit.min_bars:
        return
    if audit.good.num_rows >= (1 - panel.audit.max_shrink) * before.rows:
        return
    now = Extent.of(audit.good, panel)
    since = f" since {now.first}" if now.first else ""
    raise _shrink_error(
        f"the source of panel {panel.name} offered {before.rows} good rows since {before.first} last time, "
        f"and now offers {now.rows}{since}",
        audit,
    )


def check_overlap(audit: RowAudit, stored: pa.Table, missing: int, panel: Panel) -> Loss:
    """Stop if a source lost most of the stored bars of its live series.

    Series that ended are not expected any more.

    Args:
        audit: result of the audit of the offered rows.
        stored: stored bars that the source should still offer, sorted by `unique_id`, `ds`.
        missing: number of them that the source is already known not to have.
        panel: `max_shrink`, and `min_bars`, below which nothing is checked unless a query returns no row.

    Returns:
        The missing bars, if they are not too many.

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
    good = good.filter(pc.and_(pc.is_in(good["unique_id"].cast(pa.string()), ids), in_time))
    # A file may hold nothing but `N/A` today. A query that returns no bar of the overlap is an error.
    empty = bool(panel.source.query) and not audit.offered
    expected, least = stored.num_rows, 1 if empty else panel.audit.min_bars
    lost = max(0, expected - good.num_rows)
    if expected >= least and lost - missing > panel.audit.max_shrink * expected:
        raise _shrink_error(
            f"panel {panel.name} has {expected} stored bars of live series since "
            f"{panel.label(ds.min())}, and its source now offers {good.num_rows} good ones, "
            f"of {len(pc.unique(good['unique_id']))} series instead of {len(ids)}",
            audit,
        )
    return Loss(lost, _absent(ids, audit))


def _shrink_error(what: str, audit: RowAudit) -> AuditError:
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
        "[audit].max_shrink = 1 in the panel for one run if that is intended"
    )
    return AuditError.of(Finding.of(rules.SHRANK, "", audit.offered, detail), audit.findings)


def _absent(ids: pa.Array, audit: RowAudit) -> tuple[str, ...]:
    """The ids of which no row was offered, not even a refused one, sorted."""
    offered = pa.concat_arrays(
        [pc.unique(rows["unique_id"]).cast(pa.string()) for rows in (audit.good, audit.refused)]
    )
    return tuple(sorted(ids.filter(pc.invert(pc.is_in(ids, offered))).to_pylist()))


def _live(stored: pa.Table, panel: Panel) -> pa.Table:
    """The rows of series whose last bar is at most `stale_bars` behind the newest bar of all."""
    if not stored.num_rows:
        return stored
    series, names = ranked(stored["unique_id"])
    offsets = np.unique(series_offsets(series, len(names)))
    last = panel.calendar.position(instants(stored["ds"])[offsets[1:] - 1])
    live = last >= last.max() - panel.audit.stale_bars
    if live.all():
        return stored
    return stored.filter(pa.array(np.repeat(live, np.diff(offsets))))
