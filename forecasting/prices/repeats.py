"""Repeats: rows that a source offers again and again are dropped while it is read, and counted.

A file of a few megabytes can hold one row a hundred million times. Without this, memory would hold all of
them until the audit drops them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.prices.audit import rules
from forecasting.prices.audit.rows import RowAudit
from forecasting.prices.order import instants
from forecasting.prices.schema import VALUES

# Rows that are looked at to find out whether a batch repeats itself, as hardly any does.
_SAMPLE_ROWS = 1 << 16
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, with bits in no order: it spreads what it multiplies


@dataclass
class Repeats:
    """The rows that were dropped, counted by series. Of equal rows in one batch, the first two are kept."""

    by_id: Counter[str] = field(default_factory=Counter)

    def dropped(self, batch: pa.Table) -> pa.Table:
        """The batch, without its repeats if most of its first rows are repeats."""
        sample = _hashes(_columns(batch.slice(0, _SAMPLE_ROWS)))
        if 2 * len(np.unique(sample)) >= len(sample):
            return batch
        bars = _columns(batch)
        order = np.argsort(_hashes(bars), kind="stable")
        same = np.ones(len(order) - 1, dtype=bool)
        for column in bars:
            inside = column[order]
            same &= inside[1:] == inside[:-1]
        drop = np.zeros(len(order), dtype=bool)
        drop[order[2:][same[1:] & same[:-1]]] = True
        drop &= batch["raw"].is_null().to_numpy() & batch["unique_id"].is_valid().to_numpy()
        lost = batch["unique_id"].filter(pa.array(drop)).cast(pa.string())
        for count in pc.value_counts(lost).to_pylist():
            self.by_id[count["values"]] += count["counts"]
        return batch.filter(pa.array(~drop))

    def counted_in(self, audit: RowAudit) -> RowAudit:
        """The audit of the rows that were kept, with those that were dropped as repaired rows."""
        dropped = self.by_id.total()
        findings = tuple(
            replace(finding, rows=finding.rows + self.by_id[finding.unique_id])
            if finding.code == rules.DUPLICATE.code
            else finding
            for finding in audit.findings
        )
        return replace(
            audit, offered=audit.offered + dropped, repaired=audit.repaired + dropped, findings=findings
        )


def _columns(batch: pa.Table) -> list[np.ndarray]:
    """(N,) uint64 each: series, time and values of the rows, which are equal where the rows are."""
    codes = batch["unique_id"].combine_chunks()
    series = pc.fill_null(codes.indices, -1).to_numpy(zero_copy_only=False)
    values = [batch[name].to_numpy() for name in VALUES]  # NaN where null
    return [
        series.astype(np.int64).view(np.uint64),
        instants(batch["ds"]).view(np.int64).view(np.uint64),
        *(column.astype(np.float64).view(np.uint64) for column in values),
    ]


def _hashes(columns: Sequence[np.ndarray]) -> np.ndarray:
    """(N,) uint64: equal for equal rows, and rarely for others."""
    total = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        total = (total ^ column) * _FACTOR
        total = total ^ (total >> np.uint64(32))
    return total
