"""Snapshot: the prices that one run uses, decided once and passed from step to step by reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.as_of import to_datetime, to_instant
from forecasting.calendar import BarCalendar
from forecasting.digests import digest_arrays
from forecasting.errors import AuditError
from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.audit.rules import SOURCE_BEHIND
from forecasting.prices.audit.series import audit_series
from forecasting.prices.audit.stored import is_usable, unused_findings, usable_bars
from forecasting.prices.bars import Bars
from forecasting.prices.table import PriceTable
from forecasting.records import Record
from forecasting.storage import Storage

Origin = Literal["live", "backfill"]

# One live series in five may still lack a bar that the others have: `as_of` needs 80% of them.
_ONE_LATE_IN = 5
_NEVER = -1


@dataclass(frozen=True)
class Snapshot(Record):
    """The prices of a run.

    Attributes:
        as_of: the last date (intraday: time) whose bars the run may use, as written in paths.
        origin: `live`, or `backfill` when there were later bars already: then the prices are the first values
            that the store learned, as a run on that day would have seen them.
        price_version: version of the price table that was read.
        known_at: when the store learned the newest row up to `as_of`, ISO 8601 in UTC. Reading the values
            known at that time returns the rows used, whatever has been appended since.
        rows_digest: digest of the bars used; it does not depend on the layout of the files.
        network_ids: series that the panel's model forecasts.
        baseline_ids: series that a baseline forecasts, because their history is too short for the model.
        left_out: series without a forecast, with the reason.
        findings: findings of the audit.
        provisional: why the forecast is published early, in words; empty if it is not.
    """

    as_of: str
    origin: Origin
    price_version: int
    known_at: str
    rows_digest: str
    network_ids: tuple[str, ...]
    baseline_ids: tuple[str, ...]
    left_out: dict[str, str]
    findings: tuple[Finding, ...]
    provisional: str = ""

    @property
    def ids(self) -> tuple[str, ...]:
        """Series that get a forecast, sorted."""
        return tuple(sorted((*self.network_ids, *self.baseline_ids)))


@dataclass(frozen=True)
class _Prices:
    """The bars of one read of the price table.

    Attributes:
        bars: the bars that the panel accepts.
        volume: (N,) traded volume of each bar; NaN where the source has none.
        known: `ds` and `known_at` of all rows, including rows without a target.
        findings: findings on stored bars that the panel does not accept.
    """

    bars: Bars
    volume: np.ndarray
    known: pa.Table
    findings: tuple[Finding, ...]

    @classmethod
    def read(cls, panel: Panel, rows: pa.Table) -> Self:
        """Build from rows sorted by series and time, one per bar."""
        target = panel.forecast.target
        valued = rows.filter(pc.is_valid(rows[target]))
        stored = Bars.from_table(valued, target)
        usable = is_usable(stored, panel)
        volume = valued["volume"].to_numpy()[usable]
        known = rows.select(["ds", "known_at"])
        return cls(stored.keep(usable), volume, known, tuple(unused_findings(stored, usable, panel)))


def take_snapshot(panel: Panel, storage: Storage, as_of: str | None, now: datetime) -> Snapshot:
    """Decide `as_of` (unless given) and which series can be forecast, from the current price table.

    `now` is when the run was due: no bar that closes later is used.

    Raises:
        AuditError: there are no prices, `as_of` is not over yet, or too few series can be forecast.
        StoreError: the price table cannot be read.
    """
    table = PriceTable(storage, panel)
    prices = _Prices.read(panel, table.newest(values=_values(panel)))
    now_at, calendar = to_instant(now), panel.calendar
    newest = resolve_as_of(prices.bars, panel, calendar, now_at)
    if as_of is None:
        instant, behind = newest, _behind(panel, calendar, newest, now_at)
    else:
        instant, behind = _given_as_of(panel, prices.bars, as_of, now), []
    known = prices.known
    origin: Origin = "live" if instant >= newest else "backfill"
    if origin == "backfill":
        prices = _Prices.read(panel, table.first_vintage(instant, _values(panel)))
    audit = audit_series(prices.bars, panel, calendar, instant, prices.volume)
    used = prices.bars.until(instant).select([*audit.forecast, *audit.baseline])
    return Snapshot(
        as_of=panel.label(instant),
        origin=origin,
        price_version=table.version,
        known_at=_newest_known(known, instant),
        rows_digest=bars_digest(used),
        network_ids=tuple(audit.forecast),
        baseline_ids=tuple(audit.baseline),
        left_out=dict(audit.left_out),
        findings=(*audit.findings, *prices.findings, *behind),
    )


def newest_as_of(panel: Panel, storage: Storage, now: datetime) -> str:
    """The `as_of` of a run that was due at `now` and is given none, from the price table as it is.

    Raises:
        AuditError: no bar is closed by then.
    """
    bars = _Prices.read(panel, PriceTable(storage, panel).newest(values=_values(panel))).bars
    return panel.label(resolve_as_of(bars, panel, panel.calendar, to_instant(now)))


def read_bars(panel: Panel, storage: Storage, snapshot: Snapshot) -> Bars:
    """The bars of all series of a snapshot that get a forecast."""
    return bars_behind(panel, storage, snapshot, snapshot.ids)


class PricesUsed(Protocol):
    """Which prices a forecast was made from; a snapshot and a manifest both say so."""

    @property
    def as_of(self) -> str:
        """The last date whose bars the forecast uses, as written in paths."""

    @property
    def origin(self) -> Origin:
        """Whether the forecast is live (newest values) or backfilled (first values)."""

    @property
    def known_at(self) -> str:
        """When the store learned the newest row used, ISO 8601 in UTC."""


def bars_behind(panel: Panel, storage: Storage, used: PricesUsed, ids: Sequence[str]) -> Bars:
    """Return the bars of these series that a forecast was made from.

    Raises:
        StoreError: the price table cannot be read.
    """
    table, known_at = (
        PriceTable(storage, panel),
        np.datetime64(used.known_at.removesuffix("Z"), "us"),
    )
    until, values = panel.instant(used.as_of), [panel.forecast.target]
    if used.origin == "backfill":
        rows = table.first_vintage(until, values, known_by=known_at)
    else:
        rows = table.as_known_at(known_at, until, values)
    return usable_bars(rows, panel).select(list(ids))


def _values(panel: Panel) -> list[str]:
    return sorted({panel.forecast.target, "volume"})


def bars_digest(bars: Bars) -> str:
    """Digest of the logical price rows: the series, bars and values."""
    names = np.frombuffer("\0".join(bars.ids).encode(), dtype=np.uint8)
    return digest_arrays(names, bars.offsets, bars.ds, bars.y)


def _given_as_of(panel: Panel, bars: Bars, as_of: str, now: datetime) -> np.datetime64:
    """The newest bar up to the given date, so that a Saturday means the Friday before."""
    instant = panel.instant(as_of)
    if to_datetime(instant).date() > now.date():
        raise AuditError(
            f"as_of {as_of} lies after this run's time, {now:%Y-%m-%d %H:%M} UTC; give an earlier one"
        )
    return max(bars.until(instant).ds, default=instant)


def _behind(panel: Panel, calendar: BarCalendar, as_of: np.datetime64, now: np.datetime64) -> list[Finding]:
    """A finding if the whole source has fallen behind the calendar, which no single series shows."""
    newest = calendar.newest_closed(now)
    bars = int(np.diff(calendar.position(np.array([as_of, newest])))[0])
    if bars <= panel.audit.stale_bars:
        return []
    last, due = (panel.label(instant) for instant in (as_of, newest))
    detail = (
        f"The source ends at {last}, {bars} bars before the newest closed one, {due}: "
        "is it still being updated?"
    )
    return [Finding.of(SOURCE_BEHIND, "", bars, detail)]


def _newest_known(rows: pa.Table, as_of: np.datetime64) -> str:
    known = rows.filter(pc.less_equal(rows["ds"], pa.scalar(to_datetime(as_of), rows["ds"].type)))["known_at"]
    return f"{np.datetime64(pc.max(known).as_py().replace(tzinfo=None), 'us')}Z"


def resolve_as_of(bars: Bars, panel: Panel, calendar: BarCalendar, instant: np.datetime64) -> np.datetime64:
    """The newest bar closed at `instant` that at least 80% of the live series have reached.

    A series is live while its last bar is at most `stale_bars` behind the panel's newest one, so that
    delisted series do not hold the panel back.

    Raises:
        AuditError: no bar is closed by then.
    """
    found = resolve_as_ofs(bars, panel, calendar, np.array([calendar.newest_closed(instant)]))[0]
    if np.isnat(found):
        raise AuditError(
            f"panel {panel.name} has no bar that was closed at {instant}Z; "
            "ingest older prices, or give a later as_of"
        )
    return np.datetime64(found)


def resolve_as_ofs(bars: Bars, panel: Panel, calendar: BarCalendar, closed: np.ndarray) -> np.ndarray:
    """(K,) `as_of` for each of `closed` (K,), the newest closed bars at K instants; NaT if there is none.

    See `resolve_as_of` for the rule.
    """
    if not bars.ids:
        return np.full(len(closed), np.datetime64("NaT", "us"))
    counts = bars.counts_until(closed)
    last = bars.ds[bars.offsets[:-1, None] + np.maximum(counts - 1, 0)]
    position = np.where(counts > 0, calendar.position(last), _NEVER)
    live = (counts > 0) & (position >= position.max(axis=0) - panel.audit.stale_bars)
    oldest_first = np.sort(np.where(live, last, np.datetime64("NaT")), axis=0)  # which puts NaT at the end
    return oldest_first[live.sum(axis=0) // _ONE_LATE_IN, np.arange(len(closed))]
