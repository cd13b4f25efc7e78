"""Compaction: a panel's growing tables in few sorted files, as nightly appends leave many small ones.

Each partition is rewritten in one commit of the table's log, sorted by series. Killed at any instant, it
leaves the table as it was before a commit or after it, with the same rows in both. The files that it replaces
stay for a week and until the next compaction, for readers that opened the table before; what killed writers
left behind goes with them.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from forecasting.prices.delta import WRITER, find_table
from forecasting.storage import Storage

# How many files more than it needs a partition may lie in. Each costs every read of a local store 3 ms: 40
# series in 10 files take 40 ms, in 60 files 170. To rewrite a year of 10,000 series takes 5 to 9 s: too much
# for every night. A month of intraday bars has some 21 nights: it is compacted before it is over.
SPARE_FILES = 10

# The folders of the tables that nightly runs append to.
KINDS = ("prices", "quarantine", "scores")

_RETENTION_HOURS = 7 * 24
# What deltalake makes of a partition: files of about this size.
_FILE_BYTES = 100 * 1024 * 1024

# A partition, as deltalake names it; none of them: all of a table without partitions.
Filters = list[tuple[str, str, str]]


@dataclass(frozen=True)
class Compaction:
    """What became of one table's files.

    Attributes:
        table: its path in the store.
        files_before: how many files held its rows.
        files_after: how many do now.
    """

    table: str
    files_before: int
    files_after: int


def compact(storage: Storage, panel: str, spare: int = SPARE_FILES) -> list[Compaction]:
    """Compact the tables of the panel of that name where that is worth it; no read of theirs changes.

    A partition that another writer changes meanwhile is left for the next time. Where all is well already, it
    reads the tables' logs and no more.

    Args:
        storage: where the tables are.
        panel: the panel's name.
        spare: a partition is left as it is in so many files more than it needs.

    Returns:
        What became of each table that was not left as it is.

    Raises:
        StoreError: a newer version of this package wrote the tables.
    """
    tables = _tables(storage, panel)
    scattered = [(path, table, _scattered(table, spare)) for path, table in tables]
    return [_compact(path, table, parts) for path, table, parts in scattered if parts]


def sweep(storage: Storage, panel: str) -> dict[str, int]:
    """Delete the files that compactions of a week ago or more have replaced, and what killed writers left.

    A compaction does so too, but only of the table that it compacts, and only then.

    Returns:
        How many files of each table are gone, by its path in the store; tables without any are left out.

    Raises:
        StoreError: a newer version of this package wrote the tables.
    """
    gone = {path: _vacuum(table) for path, table in _tables(storage, panel)}
    return {path: count for path, count in gone.items() if count}


def _tables(storage: Storage, panel: str) -> list[tuple[str, DeltaTable]]:
    paths = [f"{kind}/{panel}" for kind in KINDS]
    return [(path, table) for path in paths if (table := find_table(storage, path)) is not None]


def _vacuum(table: DeltaTable) -> int:
    return len(table.vacuum(_RETENTION_HOURS, dry_run=False, full=True))


def _compact(path: str, table: DeltaTable, scattered: list[Filters]) -> Compaction:
    before = len(table.file_uris())
    for filters in scattered:
        try:
            table.optimize.z_order(
                ["unique_id"], filters or None, target_size=_FILE_BYTES, writer_properties=WRITER
            )
        except CommitFailedError:
            table.update_incremental()
    _vacuum(table)
    return Compaction(path, before, len(table.file_uris()))


def _scattered(table: DeltaTable, spare: int) -> list[Filters]:
    """The partitions that lie in more files than they need, and more than `spare` more."""
    files = pa.table(table.get_add_actions(flatten=True))
    keys = table.metadata().partition_columns
    by = [f"partition.{key}" for key in keys]
    sizes = files.group_by(by).aggregate([("size_bytes", "sum"), ("size_bytes", "count")])
    needed = np.ceil(sizes["size_bytes_sum"].to_numpy() / _FILE_BYTES)
    parts = (
        sizes.filter(pa.array(sizes["size_bytes_count"].to_numpy() > needed + spare)).select(by).to_pylist()
    )
    return [[(key, "=", str(part[name])) for key, name in zip(keys, by, strict=True)] for part in parts]
