"""Snapshot: the prices that one run uses, decided once and passed from step to step by reference."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.as_of import to_datetime, to_instant
from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.audit.rules import SOURCE_BEHIND
from forecasting.prices.audit.series import Examined, conclude, examine_series
from forecasting.prices.audit.stored import is_usable, unused_findings, usable_bars
from forecasting.prices.bars import Bars
from forecasting.prices.newest_bar import given_bar, newest_bar
from forecasting.prices.rows_digest import RowsDigest
from forecasting.prices.table import PriceTable
from forecasting.records import Record
from forecasting.shards import make_shards
from forecasting.storage import Storage

# A table of up to so many rows is read at once: 0.2 GB.
_ONE_READ = 1_000_000

Origin = Literal["live", "backfill"]


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


def take_snapshot(panel: Panel, storage: Storage, as_of: str | None, now: datetime) -> Snapshot:
    """Decide `as_of` (unless given) and which series can be forecast, from the current price table.

    `now` is when the run was due: no bar that closes later is used. The prices of one shard are in memory at
    a time.

    Raises:
        AuditError: there are no prices, `as_of` is not over yet, or too few series can be forecast.
        StoreError: the price table cannot be read.
    """
    table, now_at = PriceTable(storage, panel), to_instant(now)
    newest = newest_bar(panel, table, now_at)
    instant = newest if as_of is None else given_bar(panel, table, as_of, now)
    origin: Origin = "live" if instant >= newest else "backfill"
    digest, parts = RowsDigest(), []
    for shard in _in_shards(table):
        part, used = _examine(panel, shard, instant, origin)
        digest.add(used)
        parts.append(part)
    audit = conclude([part.series for part in parts], panel, instant)
    known_at = max(part.known_at for part in parts if part.known_at is not None)
    return Snapshot(
        as_of=panel.label(instant),
        origin=origin,
        price_version=table.version,
        known_at=f"{known_at}Z",
        rows_digest=digest.value,
        network_ids=audit.forecast,
        baseline_ids=audit.baseline,
        left_out=audit.left_out,
        findings=(
            *audit.findings,
            *(finding for part in parts for finding in part.unused),
            *(_behind(panel, newest, now_at) if as_of is None else []),
        ),
    )


def _in_shards(table: PriceTable) -> Iterator[PriceTable]:
    """The table itself if it is small, which takes fewer reads of the store; else its shards."""
    if table.rows <= _ONE_READ:
        yield table
        return
    for shard in make_shards(table.ids):
        yield table.of(shard.ids)


@dataclass(frozen=True)
class _Part:
    """What the prices of one shard say.

    Attributes:
        series: the audit of its series.
        known_at: when the store learned the newest row up to `as_of`; None without such a row.
        unused: findings on stored bars that the panel does not accept.
    """

    series: Examined
    known_at: np.datetime64 | None
    unused: tuple[Finding, ...]


def _examine(panel: Panel, table: PriceTable, as_of: np.datetime64, origin: Origin) -> tuple[_Part, Bars]:
    """Return what the table's prices say, and the bars up to `as_of` of the series that can be forecast."""
    target = panel.forecast.target
    values = sorted({target, "volume"})
    rows = table.newest(values=values) if origin == "live" else table.first_vintage(as_of, values)
    valued = rows.filter(pc.is_valid(rows[target]))
    stored = Bars.from_table(valued, target)
    usable = is_usable(stored, panel)
    bars, volume = stored.keep(usable), valued["volume"].to_numpy()[usable]
    examined = examine_series(bars, panel, panel.calendar, as_of, volume)
    part = _Part(
        series=examined,
        known_at=_newest_known(rows, as_of),
        unused=tuple(unused_findings(stored, usable, panel)),
    )
    return part, bars.until(as_of).select([*examined.forecast, *examined.baseline])


def newest_as_of(panel: Panel, storage: Storage, now: datetime) -> str:
    """The `as_of` of a run that was due at `now` and is given none, from the price table as it is.

    Raises:
        AuditError: no bar is closed by then.
    """
    return panel.label(newest_bar(panel, PriceTable(storage, panel), to_instant(now)))


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


def bars_behind(
    panel: Panel,
    storage: Storage,
    used: PricesUsed,
    ids: Sequence[str],
    since: np.datetime64 | None = None,
) -> Bars:
    """Return the bars of these series that a forecast was made from; of a live one, only those from `since`.

    The first values that a backfill uses are known only with the whole past.

    Raises:
        StoreError: the price table cannot be read.
    """
    table = PriceTable(storage, panel).of(ids)
    known_at = np.datetime64(used.known_at.removesuffix("Z"), "us")
    until, values = panel.instant(used.as_of), [panel.forecast.target]
    if used.origin == "backfill":
        rows = table.first_vintage(until, values, known_by=known_at)
    else:
        rows = table.as_known_at(known_at, until, values, since)
    return usable_bars(rows, panel)


def _behind(panel: Panel, as_of: np.datetime64, now: np.datetime64) -> list[Finding]:
    """A finding if the whole source has fallen behind the calendar, which no single series shows."""
    calendar = panel.calendar
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


def _newest_known(rows: pa.Table, as_of: np.datetime64) -> np.datetime64 | None:
    known = rows.filter(pc.less_equal(rows["ds"], pa.scalar(to_datetime(as_of), rows["ds"].type)))["known_at"]
    return np.datetime64(pc.max(known).value, "us") if len(known) else None
