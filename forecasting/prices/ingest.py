"""Ingest: copy a panel's source into the store, and account for every row."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import stamina
from deltalake.exceptions import CommitFailedError

from forecasting.errors import AuditError, StoreError
from forecasting.findings import Action, Finding
from forecasting.panel import Panel
from forecasting.prices.audit import rules
from forecasting.prices.audit.rows import RowAudit, audit_rows
from forecasting.prices.audit.shrink import Extent, Loss, check_extent, check_overlap
from forecasting.prices.audit.splits import Adjusted, adjust_splits
from forecasting.prices.damaged_tables import set_aside_damaged
from forecasting.prices.delta import instant_scalar
from forecasting.prices.order import instants
from forecasting.prices.quarantine import Quarantine
from forecasting.prices.reloads import NOTHING, Reload, reload
from forecasting.prices.repeats import Repeats
from forecasting.prices.restore import restore_torn
from forecasting.prices.revisions import Changes, find_changes
from forecasting.prices.schema import GOOD, OFFERED
from forecasting.prices.sources import open_source
from forecasting.prices.sources.memory import Memory, recall, remember
from forecasting.prices.split_table import SplitTable
from forecasting.prices.table import PriceTable
from forecasting.records import Record
from forecasting.storage import Storage

# If another ingest of the panel committed first, read what it wrote and try again; half a minute at most.
_RETRY_ON_CONFLICT = stamina.retry(
    on=CommitFailedError, attempts=10, timeout=None, wait_initial=0.1, wait_max=4, wait_jitter=1
)


@dataclass(frozen=True)
class IngestReport(Record):
    """The result of an ingest: how many offered rows were appended, refused, and so on.

    `offered = appended + identical + repaired + quarantined + pending` always holds.

    Attributes:
        panel: name of the panel.
        offered: rows that the source offered, each with at least one value.
        appended: rows appended to the price table, including revisions.
        revised: appended rows that change the value of a stored bar.
        readjusted: rows appended although the source did not offer them, because it multiplied the past of
            their series.
        identical: rows that the price table already holds.
        repaired: rows that only repeat another row.
        quarantined: refused rows; they are in the quarantine, from this ingest or an earlier one.
        newly_quarantined: rows that this ingest added to the quarantine.
        pending: rows of the bar that is not closed yet; the next ingest takes them.
        table_version: version of the price table after the ingest.
        known_at: when the newest rows of the price table were appended, ISO 8601 in UTC.
        newest_ds: the newest bar in the price table, ISO 8601 in UTC.
        findings: findings of the audit of the rows.
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
    """Read the panel's source, audit its rows, and append new bars and changed values.

    A second ingest of the same source changes nothing. A damaged table beside the prices is set aside first.

    Args:
        panel: the source to read, and the rules for its bars.
        storage: the store with the panel's prices and quarantine.
        now: datetime64[us], UTC; decides which bars are closed, and is the `known_at` of new rows.

    Raises:
        SourceError: the source cannot be read.
        AuditError: the source lost most of what it had; the refused rows are in the quarantine.
        StoreError: the price table is damaged, the tables have a newer format, or other writers kept
            committing first.
    """
    aside = (*set_aside_damaged(panel, storage, now), *restore_torn(panel, storage, now))
    known = recall(storage, panel) if PriceTable.exists(storage, panel.name) else None
    try:
        report = _Ingest(panel, storage, now).run(known)
    except CommitFailedError as error:
        raise StoreError(
            f"cannot write prices of panel {panel.name} to {storage.uri} ({error}); "
            "let its other ingests end, then run it again"
        ) from error
    return replace(report, findings=(*aside, *report.findings))


@dataclass(frozen=True)
class _Offer:
    """The audited rows of one read of a source.

    Attributes:
        audit: result of the audit of the rows.
        since: first bar that the source was asked for; None if it was asked for all bars.
        whole: whether the source was read completely (from `since` on), and not only its changed files.
        changed: whether anything was read, that is, whether the source changed since the last ingest.
        tags: state of each file that was read.
    """

    audit: RowAudit
    since: np.datetime64 | None
    whole: bool
    changed: bool
    tags: Mapping[str, str]

    @property
    def waits(self) -> bool:
        """Whether every offered row belongs to the bar that is not closed yet."""
        return 0 < self.audit.offered == self.audit.pending

    @property
    def first(self) -> np.datetime64 | None:
        """The first bar that the source should have; None if its rows do not tell."""
        if self.since is not None:
            return self.since
        for rows in (self.audit.good, self.audit.refused):
            first = pc.min(rows["ds"])
            if first.is_valid:
                return np.datetime64(first.value, "us")
        return None

    def should_have(self, stored: pa.Table) -> pa.Table:
        """The stored bars that the source must still offer."""
        if self.since is not None:
            stored = stored.filter(pc.greater_equal(stored["ds"], instant_scalar(self.since)))
        if self.whole:
            return stored
        return stored.filter(pc.is_in(stored["unique_id"].cast(pa.string()), self._ids))

    def findings(self, loss: Loss, before: Memory) -> tuple[Finding, ...]:
        """Findings on the rows read now, and earlier findings on the series that were not read again."""
        if not self.changed:
            return before.findings
        said = (*self.audit.findings, *loss.findings)
        if self.whole:
            return said
        read = {"", *self._ids.to_pylist()}
        return (*said, *(finding for finding in before.findings if finding.unique_id not in read))

    @property
    def _ids(self) -> pa.Array:
        ids = [
            pc.unique(rows["unique_id"]).cast(pa.string()) for rows in (self.audit.good, self.audit.refused)
        ]
        return pa.concat_arrays(ids)


@dataclass(frozen=True)
class _Ingest:
    """One ingest of a panel into a store at a given time."""

    panel: Panel
    storage: Storage
    now: np.datetime64

    def run(self, known: Memory | None) -> IngestReport:
        """Run the ingest. `known` is the memory of the last one."""
        before = known or Memory()
        offer = self._read(known)
        newly_quarantined = self._quarantine(offer)
        try:
            report, loss = self._store(offer, before)
        except AuditError:
            if offer.whole:
                raise
            # Only changed files were read, and one file need not hold all bars. Read all to decide.
            report = self.run(before.model_copy(update={"tags": {}}))
            return replace(report, newly_quarantined=report.newly_quarantined + newly_quarantined)
        if offer.changed:
            remember(self.storage, self.panel, self._memory(offer, before, loss))
        return replace(report, newly_quarantined=newly_quarantined)

    def _read(self, known: Memory | None) -> _Offer:
        source = open_source(self.panel, known.tags if known else {})
        since = self._since() if known and self.panel.source.query else None
        repeats = Repeats()
        batches = [repeats.dropped(batch) for batch in source.read(since)]
        offered = pa.concat_tables([OFFERED.empty_table(), *batches])
        audit = repeats.counted_in(audit_rows(offered, self.panel, self.panel.calendar, self.now))
        changed = source.read_all or bool(batches)
        return _Offer(audit, since, whole=source.read_all, changed=changed, tags=source.tags)

    def _since(self) -> np.datetime64 | None:
        """First bar to ask a database for that was read before: the new bars and an overlap."""
        newest = PriceTable(self.storage, self.panel).newest_ds
        return None if newest is None else newest - np.timedelta64(self.panel.source.overlap_days, "D")

    @_RETRY_ON_CONFLICT
    def _quarantine(self, offer: _Offer) -> int:
        return Quarantine(self.storage, self.panel.name).add(offer.audit.refused, self.now)

    @_RETRY_ON_CONFLICT
    def _store(self, offer: _Offer, before: Memory) -> tuple[IngestReport, Loss]:
        audit, table = offer.audit, PriceTable.create(self.storage, self.panel)
        stored = _overlap(table, offer)
        loss = self._check(offer, stored, before)
        if table.newest_ds is None:
            _check_any_taken(offer, self.panel)
        adjusted = self._adjusted(audit.good, stored)
        changes = find_changes(stored, adjusted.good, self.panel, adjusted.due)
        older = _reload(table, adjusted.good, changes, self.panel)
        rows = changes.rows
        if older.rows.num_rows:
            rows = pa.concat_tables([rows.cast(GOOD), older.rows])
        if rows.num_rows:
            table.append(rows, self.now)
        report = IngestReport(
            panel=self.panel.name,
            offered=audit.offered,
            appended=changes.rows.num_rows,
            revised=changes.revised,
            readjusted=older.rows.num_rows,
            identical=audit.good.num_rows - changes.rows.num_rows,
            repaired=audit.repaired,
            quarantined=audit.refused.num_rows,
            newly_quarantined=0,
            pending=audit.pending,
            table_version=table.version,
            known_at=_iso(table.known_at),
            newest_ds=_iso(table.newest_ds),
            findings=(*offer.findings(loss, before), *adjusted.findings, *older.findings),
        )
        return report, loss

    def _adjusted(self, good: pa.Table, stored: pa.Table) -> Adjusted:
        """The offered rows, adjusted for splits if the panel asks for that.

        New splits are stored before the rows, so that the next ingest applies them if this one is killed.
        """
        if not self.panel.audit.adjust_splits:
            return Adjusted(good, (), (), (), ())
        table = SplitTable(self.storage, self.panel.name)
        adjusted = adjust_splits(good, stored, table.splits(), self.panel)
        table.add(adjusted.found, self.now)
        return adjusted

    def _check(self, offer: _Offer, stored: pa.Table, before: Memory) -> Loss:
        """The bars that the source lost.

        Raises:
            AuditError: it lost too many.
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
            tags = {}  # read all files again next time: a change of one of them does not settle the conflict
        whole = offer.whole and not offer.waits
        # Bars that `max_shrink = 1` accepted as lost are not reported again.
        accepts = self.panel.audit.max_shrink == 1
        missing = loss.bars if accepts else min(loss.bars, before.missing)
        return Memory(
            tags=dict(tags),
            findings=offer.findings(loss, before) if tags else (),
            offered=Extent.of(audit.good, self.panel) if whole and offer.since is None else before.offered,
            missing=missing if whole else before.missing,
        )


def _check_any_taken(offer: _Offer, panel: Panel) -> None:
    """Stop if every row of a source was refused and the store has none: nothing could be forecast.

    Raises:
        AuditError: no row could be taken.
    """
    audit = offer.audit
    if audit.good.num_rows or not audit.refused.num_rows or not offer.whole or offer.since is not None:
        return
    reasons = [finding for finding in audit.findings if finding.action == Action.REFUSE]
    worst = max(reasons, key=lambda finding: finding.rows)
    detail = (
        f"all {audit.refused.num_rows} rows of the source of panel {panel.name} were refused, most of them "
        f"for {worst.code} {worst.name}: {worst.detail}"
    )
    raise AuditError.of(Finding.of(rules.ALL_REFUSED, "", audit.refused.num_rows, detail), audit.findings)


def _overlap(table: PriceTable, offer: _Offer) -> pa.Table:
    """The newest stored value of each bar from the oldest offered bar on."""
    if table.newest_ds is None or not offer.changed:
        return GOOD.empty_table()
    good, first = offer.audit.good, offer.first
    if first is None:
        return table.newest()
    return table.newest_since(min(first, instants(good["ds"]).min()) if good.num_rows else first)


def _reload(table: PriceTable, good: pa.Table, changes: Changes, panel: Panel) -> Reload:
    """The changes to bars that were not offered, if the source re-adjusted the bars that were."""
    if not changes.readjusted:
        return NOTHING
    ids = sorted({each.unique_id for each in changes.readjusted})
    until = max(each.until for each in changes.readjusted)
    return reload(table.of(ids).newest(until), good, changes.readjusted, panel)


def _iso(instant: np.datetime64 | None) -> str | None:
    return None if instant is None else f"{instant}Z"
