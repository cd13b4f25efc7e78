"""Ingest: take what a panel's source offers into the store, and say what became of every row of it."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import CommitFailedError

from forecasting.errors import StoreError
from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.audit.rows import RowAudit, audit_rows
from forecasting.prices.audit.shrink import check_not_shrunk
from forecasting.prices.audit.splits import Adjusted, adjust_splits
from forecasting.prices.order import instants
from forecasting.prices.quarantine import Quarantine
from forecasting.prices.reloads import NOTHING, Reload, reload
from forecasting.prices.revisions import News, compare
from forecasting.prices.schema import GOOD, OFFERED
from forecasting.prices.sources import open_source
from forecasting.prices.sources.memory import recall, remember
from forecasting.prices.split_table import SplitTable
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
        readjusted: rows that were not offered, but appended because their series' past was multiplied.
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
    readjusted: int
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
        AuditError: the source lost most of what it had.
        StoreError: the tables are of a newer format, or others kept writing to them.
    """
    known = recall(storage, panel) if PriceTable.exists(storage, panel.name) else {}
    source = open_source(panel, known)
    batches = list(source.read(_since(panel, storage)))
    offered = pa.concat_tables([OFFERED.empty_table(), *batches])
    audit = audit_rows(offered, panel, panel.calendar, now)
    report = _store_at_last(_Offer(audit, whole=len(known) <= 1, changed=bool(batches)), panel, storage, now)
    if source.tags and not audit.pending:
        remember(storage, panel, source.tags)
    return report


@dataclass(frozen=True)
class _Offer:
    """What a source offers.

    Attributes:
        audit: what became of its rows.
        changed: whether there was anything that had not been read before.
        whole: whether that was all that there is, and not just those of several files that changed.
    """

    audit: RowAudit
    changed: bool
    whole: bool

    def should_have(self, stored: pa.Table) -> pa.Table:
        """Those of the stored bars that the source must still have."""
        if self.whole:
            return stored
        return stored.filter(
            pc.is_in(stored["unique_id"].cast(pa.string()), pc.unique(self.audit.good["unique_id"]))
        )


def _since(panel: Panel, storage: Storage) -> np.datetime64 | None:
    """The first bar that is wanted of a source that can be asked for a part: the new ones and an overlap."""
    if not PriceTable.exists(storage, panel.name):
        return None
    newest = PriceTable(storage, panel.name).newest_ds
    return None if newest is None else newest - np.timedelta64(panel.source.overlap_days, "D")


def _store_at_last(offer: _Offer, panel: Panel, storage: Storage, now: np.datetime64) -> IngestReport:
    for _ in range(_ATTEMPTS):
        try:
            return _store(offer, panel, storage, now)
        except CommitFailedError as error:
            # Another ingest of this panel was faster: compare with what it wrote.
            reason = str(error)
    raise StoreError(
        f"cannot write prices of panel {panel.name} to {storage.uri} ({reason}); "
        "let its other ingests end, then run it again"
    )


def _store(offer: _Offer, panel: Panel, storage: Storage, now: np.datetime64) -> IngestReport:
    audit, table = offer.audit, PriceTable.create(storage, panel)
    stored = _overlap(table, audit.good, panel)
    if offer.changed and audit.offered > audit.pending:
        check_not_shrunk(audit.good, offer.should_have(stored), panel, panel.calendar)
    newly_quarantined = Quarantine(storage, panel.name).add(audit.refused, now)
    adjusted = _adjusted(audit.good, stored, panel, storage, now)
    news = compare(stored, adjusted.good, panel, adjusted.due)
    older = _reload(table, adjusted.good, news, panel)
    rows = pa.concat_tables([news.rows.cast(GOOD), older.rows])
    if rows.num_rows:
        table.append(rows, now)
    return IngestReport(
        panel=panel.name,
        offered=audit.offered,
        appended=news.rows.num_rows,
        revised=news.revised,
        readjusted=older.rows.num_rows,
        identical=audit.good.num_rows - news.rows.num_rows,
        repaired=audit.repaired,
        quarantined=audit.refused.num_rows,
        newly_quarantined=newly_quarantined,
        pending=audit.pending,
        table_version=table.version,
        known_at=_written(table.known_at),
        newest_ds=_written(table.newest_ds),
        findings=(*audit.findings, *adjusted.findings, *older.findings),
    )


def _overlap(table: PriceTable, good: pa.Table, panel: Panel) -> pa.Table:
    """The newest values of the bars that an offer can say anything about: from its oldest bar on."""
    if table.newest_ds is None:
        return GOOD.empty_table()
    overlap = np.timedelta64(panel.source.overlap_days, "D")
    return table.newest_since(instants(good["ds"]).min() if good.num_rows else table.newest_ds - overlap)


def _adjusted(
    good: pa.Table, stored: pa.Table, panel: Panel, storage: Storage, now: np.datetime64
) -> Adjusted:
    """The offered rows, adjusted for splits if the panel asks for it.

    The new splits are written before the rows are: killed in between, the next ingest applies them.
    """
    if not panel.audit.adjust_splits:
        return Adjusted(good, (), (), (), ())
    table = SplitTable(storage, panel.name)
    adjusted = adjust_splits(good, stored, table.splits(), panel)
    table.add(adjusted.found, now)
    return adjusted


def _reload(table: PriceTable, good: pa.Table, news: News, panel: Panel) -> Reload:
    """What becomes of the bars that were not offered, where those that were have been re-adjusted."""
    if not news.readjusted:
        return NOTHING
    ids = sorted({each.unique_id for each in news.readjusted})
    until = max(each.until for each in news.readjusted)
    return reload(table.newest_of(ids, until), good, news.readjusted, panel)


def _written(instant: np.datetime64 | None) -> str | None:
    return None if instant is None else f"{instant}Z"
