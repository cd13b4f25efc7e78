"""Ingest: take what a panel's source offers into the store, and say what became of every row of it."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake.exceptions import CommitFailedError

from forecasting.errors import StoreError
from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.audit.rows import RowAudit, audit_rows
from forecasting.prices.order import instants, order_bars, same_as_before
from forecasting.prices.quarantine import Quarantine
from forecasting.prices.schema import GOOD
from forecasting.prices.sources import read_source
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

_ATTEMPTS = 5


@dataclass(frozen=True)
class IngestReport:
    """What became of the rows that a source offered.

    `offered = appended + identical + repaired + quarantined + pending`, whatever the source holds.

    Attributes:
        panel: the panel's name.
        offered: rows with any value.
        appended: rows that are new in the prices, revisions among them.
        revised: how many of the appended rows give another value to a bar that was there.
        identical: rows that the prices hold already.
        repaired: rows that only repeated another one.
        quarantined: rows refused; they are in the quarantine, from this ingest or an earlier one.
        newly_quarantined: rows that this ingest added to the quarantine.
        pending: rows of the bar that is not closed yet; the next ingest takes them.
        table_version: the price table's version afterwards.
        known_at: when the price table's newest rows came, ISO 8601 in UTC.
        newest_ds: the newest bar in the price table, ISO 8601 in UTC.
        findings: what the audit of the rows says.
    """

    panel: str
    offered: int
    appended: int
    revised: int
    identical: int
    repaired: int
    quarantined: int
    newly_quarantined: int
    pending: int
    table_version: int
    known_at: str | None
    newest_ds: str | None
    findings: tuple[Finding, ...]

    def to_record(self) -> dict[str, Any]:
        """As a JSON-able record."""
        return asdict(self)


def ingest(panel: Panel, storage: Storage, now: np.datetime64) -> IngestReport:
    """Read the panel's source, audit its rows, and append those that are new or say something new.

    Once more, it finds its own rows and changes nothing.

    Args:
        panel: what to read, and what its bars must be.
        storage: where the panel's prices and quarantine are.
        now: datetime64[us], UTC; which bars are closed, and the new rows' `known_at`.

    Raises:
        SourceError: the source cannot be read.
        StoreError: the tables are of a newer format, or others kept writing to them.
    """
    offered = pa.concat_tables(read_source(panel))
    audit = audit_rows(offered, panel, panel.calendar, now)
    for _ in range(_ATTEMPTS):
        try:
            return _store(audit, panel, storage, now)
        except CommitFailedError as error:
            # Another ingest of this panel was faster: compare with what it wrote.
            reason = str(error)
    raise StoreError(
        f"cannot write prices of panel {panel.name} to {storage.uri} ({reason}); "
        "let its other ingests end, then run it again"
    )


def _store(audit: RowAudit, panel: Panel, storage: Storage, now: np.datetime64) -> IngestReport:
    newly_quarantined = Quarantine(storage, panel.name).add(audit.refused, now)
    table = PriceTable.create(storage, panel)
    stored = table.newest().select(GOOD.names)
    news, revised = _news(stored, audit.good)
    if news.num_rows:
        table.append(news, now)
    return IngestReport(
        panel=panel.name,
        offered=audit.offered,
        appended=news.num_rows,
        revised=revised,
        identical=audit.good.num_rows - news.num_rows,
        repaired=audit.repaired,
        quarantined=audit.refused.num_rows,
        newly_quarantined=newly_quarantined,
        pending=audit.pending,
        table_version=table.version,
        known_at=_written(table.known_at),
        newest_ds=_written(
            max((instants(rows["ds"]).max() for rows in (stored, news) if len(rows)), default=None)
        ),
        findings=audit.findings,
    )


def _news(stored: pa.Table, good: pa.Table) -> tuple[pa.Table, int]:
    """The rows of `good` that `stored` does not hold, sorted; and how many of their bars it has otherwise."""
    both = pa.concat_tables([stored, good])
    order = order_bars(both)
    offered = order.rows >= stored.num_rows
    same = same_as_before(both.take(order.rows))
    revised = offered & order.again & ~same
    new = offered & ~order.again
    return both.take(order.rows[new | revised]), int(revised.sum())


def _written(instant: np.datetime64 | None) -> str | None:
    return None if instant is None else f"{instant}Z"
