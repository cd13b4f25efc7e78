"""Ingest: take what a panel's source offers into the store, and say what became of every row of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import stamina
from deltalake.exceptions import CommitFailedError

from forecasting.errors import AuditError, StoreError
from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.audit import rules
from forecasting.prices.audit.rows import RowAudit, audit_rows
from forecasting.prices.audit.shrink import Extent, Loss, check_extent, check_overlap
from forecasting.prices.audit.splits import Adjusted, adjust_splits
from forecasting.prices.delta import instant_scalar
from forecasting.prices.order import instants
from forecasting.prices.quarantine import Quarantine
from forecasting.prices.reloads import NOTHING, Reload, reload
from forecasting.prices.revisions import News, compare
from forecasting.prices.schema import GOOD, OFFERED
from forecasting.prices.sources import open_source
from forecasting.prices.sources.memory import Memory, recall, remember
from forecasting.prices.split_table import SplitTable
from forecasting.prices.table import PriceTable
from forecasting.records import Record
from forecasting.storage import Storage

# Where another ingest of the panel was faster, look again at what it wrote; half a minute in all, at most.
_IN_TURN = stamina.retry(
    on=CommitFailedError, attempts=10, timeout=None, wait_initial=0.1, wait_max=4, wait_jitter=1
)


@dataclass(frozen=True)
class IngestReport(Record):
    """What became of the rows that a source offered.

    `offered = appended + identical + repaired + quarantined + pending`, whatever the source holds.

    Attributes:
        panel: the panel's name.
        offered: rows with any value.
        appended: rows that are new in the prices, revisions among them.
        revised: how many of the appended rows give another value to a bar that was there.
        readjusted: rows that were not offered, but appended because the source multiplied their series' past.
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


def ingest(panel: Panel, storage: Storage, now: np.datetime64) -> IngestReport:
    """Read the panel's source, audit its rows, and append those that are new or say something new.

    Once more, it finds its own rows and changes nothing.

    Args:
        panel: what to read, and what its bars must be.
        storage: where the panel's prices and quarantine are.
        now: datetime64[us], UTC; which bars are closed, and the new rows' `known_at`.

    Raises:
        SourceError: the source cannot be read.
        AuditError: the source lost most of what it had; the rows refused are in the quarantine.
        StoreError: the tables are of a newer format, or others kept writing to them.
    """
    known = recall(storage, panel) if PriceTable.exists(storage, panel.name) else None
    try:
        return _Ingest(panel, storage, now).run(known)
    except CommitFailedError as error:
        raise StoreError(
            f"cannot write prices of panel {panel.name} to {storage.uri} ({error}); "
            "let its other ingests end, then run it again"
        ) from error


@dataclass(frozen=True)
class _Offer:
    """What a source offers.

    Attributes:
        audit: what became of its rows.
        since: the first bar that it was asked for, where that was not all.
        whole: whether it is all that there is since then, and not just those of several files that changed.
        changed: whether it was looked at, because there was anything that had not been read before.
        tags: of what was read.
    """

    audit: RowAudit
    since: np.datetime64 | None
    whole: bool
    changed: bool
    tags: Mapping[str, str]

    @property
    def waits(self) -> bool:
        """Whether all that it has is rows of the bar that is forming, which say nothing yet."""
        return 0 < self.audit.offered == self.audit.pending

    @property
    def first(self) -> np.datetime64 | None:
        """The first bar that it should know about; None where its rows do not tell."""
        if self.since is not None:
            return self.since
        for rows in (self.audit.good, self.audit.refused):
            first = pc.min(rows["ds"])
            if first.is_valid:
                return np.datetime64(first.value, "us")
        return None

    def should_have(self, stored: pa.Table) -> pa.Table:
        """Those of the stored bars that it must still have."""
        if self.since is not None:
            stored = stored.filter(pc.greater_equal(stored["ds"], instant_scalar(self.since)))
        if self.whole:
            return stored
        return stored.filter(pc.is_in(stored["unique_id"].cast(pa.string()), self._ids))

    def findings(self, loss: Loss, before: Memory) -> tuple[Finding, ...]:
        """Those of its rows, and those of series that were passed over since nothing of them changed."""
        if not self.changed:
            return before.findings
        said = (*self.audit.findings, *loss.findings)
        if self.whole:
            return said
        read = {"", *self._ids.to_pylist()}
        return (*said, *(finding for finding in before.findings if finding.unique_id not in read))

    @property
    def _ids(self) -> pa.Array:
        ids = [pc.unique(rows["unique_id"]) for rows in (self.audit.good, self.audit.refused)]
        return pa.concat_arrays(ids)


@dataclass(frozen=True)
class _Ingest:
    """One ingest: of which panel, to where, and when."""

    panel: Panel
    storage: Storage
    now: np.datetime64

    def run(self, known: Memory | None) -> IngestReport:
        """All of it; `known` is what the last one left."""
        before = known or Memory()
        offer = self._read(known)
        newly_quarantined = self._quarantine(offer)
        try:
            report, loss = self._store(offer, before)
        except AuditError:
            if offer.whole:
                raise
            # Of several files only some were read: a year's has not the other years. All of them can tell.
            report = self.run(before.model_copy(update={"tags": {}}))
            return replace(report, newly_quarantined=report.newly_quarantined + newly_quarantined)
        if offer.changed:
            remember(self.storage, self.panel, self._memory(offer, before, loss))
        return replace(report, newly_quarantined=newly_quarantined)

    def _read(self, known: Memory | None) -> _Offer:
        source = open_source(self.panel, known.tags if known else {})
        since = self._since() if known and self.panel.source.query else None
        batches = list(source.read(since))
        offered = pa.concat_tables([OFFERED.empty_table(), *batches])
        audit = audit_rows(offered, self.panel, self.panel.calendar, self.now)
        changed = source.read_all or bool(batches)
        return _Offer(audit, since, whole=source.read_all, changed=changed, tags=source.tags)

    def _since(self) -> np.datetime64 | None:
        """The first bar that is wanted of a database that was read before: the new ones and an overlap."""
        newest = PriceTable(self.storage, self.panel.name).newest_ds
        return None if newest is None else newest - np.timedelta64(self.panel.source.overlap_days, "D")

    @_IN_TURN
    def _quarantine(self, offer: _Offer) -> int:
        return Quarantine(self.storage, self.panel.name).add(offer.audit.refused, self.now)

    @_IN_TURN
    def _store(self, offer: _Offer, before: Memory) -> tuple[IngestReport, Loss]:
        audit, table = offer.audit, PriceTable.create(self.storage, self.panel)
        stored = _overlap(table, offer)
        loss = self._check(offer, stored, before)
        adjusted = self._adjusted(audit.good, stored)
        news = compare(stored, adjusted.good, self.panel, adjusted.due)
        older = _reload(table, adjusted.good, news, self.panel)
        rows = pa.concat_tables([news.rows.cast(GOOD), older.rows])
        if rows.num_rows:
            table.append(rows, self.now)
        report = IngestReport(
            panel=self.panel.name,
            offered=audit.offered,
            appended=news.rows.num_rows,
            revised=news.revised,
            readjusted=older.rows.num_rows,
            identical=audit.good.num_rows - news.rows.num_rows,
            repaired=audit.repaired,
            quarantined=audit.refused.num_rows,
            newly_quarantined=0,
            pending=audit.pending,
            table_version=table.version,
            known_at=_written(table.known_at),
            newest_ds=_written(table.newest_ds),
            findings=(*offer.findings(loss, before), *adjusted.findings, *older.findings),
        )
        return report, loss

    def _adjusted(self, good: pa.Table, stored: pa.Table) -> Adjusted:
        """The offered rows, adjusted for splits if the panel asks for it.

        The new splits are written before the rows are: killed in between, the next ingest applies them.
        """
        if not self.panel.audit.adjust_splits:
            return Adjusted(good, (), (), (), ())
        table = SplitTable(self.storage, self.panel.name)
        adjusted = adjust_splits(good, stored, table.splits(), self.panel)
        table.add(adjusted.found, self.now)
        return adjusted

    def _check(self, offer: _Offer, stored: pa.Table, before: Memory) -> Loss:
        """What the source lost.

        Raises:
            AuditError: that is too much.
        """
        if not offer.changed or offer.waits:
            return Loss()
        if before.offered and offer.whole and offer.since is None:
            check_extent(offer.audit, before.offered, self.panel)
        loss = check_overlap(offer.audit, offer.should_have(stored), before.missing, self.panel)
        return loss if offer.whole else Loss()

    def _memory(self, offer: _Offer, before: Memory, loss: Loss) -> Memory:
        audit = offer.audit
        tags = before.tags if audit.pending else offer.tags
        if rules.CONFLICT.code in pc.unique(audit.refused["code"]).to_pylist():
            tags = {}  # of the files that disagree, the next one to change must not settle it alone
        whole = offer.whole and not offer.waits
        # What `max_shrink = 1` let pass for one run is not asked for by the next.
        accepts = self.panel.audit.max_shrink == 1
        missing = loss.bars if accepts else min(loss.bars, before.missing)
        return Memory(
            tags=dict(tags),
            findings=offer.findings(loss, before) if tags else (),
            offered=Extent.of(audit.good, self.panel) if whole and offer.since is None else before.offered,
            missing=missing if whole else before.missing,
        )


def _overlap(table: PriceTable, offer: _Offer) -> pa.Table:
    """The newest values of the bars that an offer can say anything about: from its oldest bar on."""
    if table.newest_ds is None or not offer.changed:
        return GOOD.empty_table()
    good, first = offer.audit.good, offer.first
    if first is None:
        return table.newest()
    return table.newest_since(min(first, instants(good["ds"]).min()) if good.num_rows else first)


def _reload(table: PriceTable, good: pa.Table, news: News, panel: Panel) -> Reload:
    """What becomes of the bars that were not offered, where those that were have been re-adjusted."""
    if not news.readjusted:
        return NOTHING
    ids = sorted({each.unique_id for each in news.readjusted})
    until = max(each.until for each in news.readjusted)
    return reload(table.newest_of(ids, until), good, news.readjusted, panel)


def _written(instant: np.datetime64 | None) -> str | None:
    return None if instant is None else f"{instant}Z"
