"""Compaction: merge the many small files that nightly appends leave into a few sorted ones.

Each partition is rewritten in one commit of the table's log, sorted by series. A compaction that is killed
leaves the table as it was before or after a commit; both hold the same rows. Replaced files stay for at
least a week, for readers that opened the table earlier. The cleanup after that week also deletes the files
that killed writers left behind.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from forecasting.prices.delta import WRITER, find_table
from forecasting.prices.table_files import remember_files
from forecasting.storage import Storage
from forecasting.store_errors import faults_in_plain_words

# How many surplus files a partition may have. Each one costs every read of a local store 3 ms: reading 40
# series takes 40 ms from 10 files and 170 ms from 60. Rewriting a year of 10,000 series takes 5 to 9 s, too
# long for every night. A month of intraday bars has about 21 nights, so it is compacted before it ends.
SPARE_FILES = 10

# Folders of a panel's tables.
KINDS = ("prices", "quarantine", "splits", "scores")

_RETENTION_HOURS = 7 * 24
# Target size of the files that a compaction writes.
_FILE_BYTES = 100 * 1024 * 1024

# The filters with which deltalake selects a partition; empty for a table without partitions.
Filters = list[tuple[str, str, str]]


@dataclass(frozen=True)
class Compaction:
    """The compaction of one table.

    Attributes:
        table: path of the table in the store.
        files_before: number of files that held its rows before.
        files_after: number of files that hold them now.
    """

    table: str
    files_before: int
    files_after: int


def compact(storage: Storage, panel: str, spare: int = SPARE_FILES) -> list[Compaction]:
    """Compact a panel's tables where a partition has too many files. Reads return the same rows.

    A partition that another writer changes at the same time is left for the next compaction. If there is
    nothing to compact, only the tables' logs are read.

    Args:
        storage: the store with the tables.
        panel: name of the panel.
        spare: number of surplus files that a partition may have.

    Returns:
        One entry per compacted table.

    Raises:
        StoreError: a newer version of this package wrote the tables.
    """
    tables = _tables(storage, panel)
    scattered = [(path, table, _scattered(table, spare)) for path, table in tables]
    with faults_in_plain_words(storage.uri):
        return [_compact(storage, path, table, parts) for path, table, parts in scattered if parts]


def sweep(storage: Storage, panel: str) -> dict[str, int]:
    """Delete files that a compaction replaced at least a week ago, and files of killed writers.

    `compact` does the same, but only for the tables that it rewrites.

    Returns:
        Number of deleted files by the table's path in the store, for tables where any was deleted.

    Raises:
        StoreError: a newer version of this package wrote the tables.
    """
    deleted = {}
    for path, table in _tables(storage, panel):
        with faults_in_plain_words(storage.uri):
            deleted[path] = _vacuum(table)
        remember_files(storage, path)
    return {path: count for path, count in deleted.items() if count}


def _tables(storage: Storage, panel: str) -> list[tuple[str, DeltaTable]]:
    paths = [f"{kind}/{panel}" for kind in KINDS]
    return [(path, table) for path in paths if (table := find_table(storage, path)) is not None]


def _vacuum(table: DeltaTable) -> int:
    return len(table.vacuum(_RETENTION_HOURS, dry_run=False, full=True))


def _compact(storage: Storage, path: str, table: DeltaTable, scattered: list[Filters]) -> Compaction:
    before = len(table.file_uris())
    for filters in scattered:
        try:
            table.optimize.z_order(
                ["unique_id"], filters or None, target_size=_FILE_BYTES, writer_properties=WRITER
            )
        except CommitFailedError:
            table.update_incremental()
    _vacuum(table)
    remember_files(storage, path)
    return Compaction(path, before, len(table.file_uris()))


def _scattered(table: DeltaTable, spare: int) -> list[Filters]:
    """Partitions with more than `spare` surplus files."""
    files = pa.table(table.get_add_actions(flatten=True))
    keys = table.metadata().partition_columns
    by = [f"partition.{key}" for key in keys]
    sizes = files.group_by(by).aggregate([("size_bytes", "sum"), ("size_bytes", "count")])
    needed = np.ceil(sizes["size_bytes_sum"].to_numpy() / _FILE_BYTES)
    parts = (
        sizes.filter(pa.array(sizes["size_bytes_count"].to_numpy() > needed + spare)).select(by).to_pylist()
    )
    return [[(key, "=", str(part[name])) for key, name in zip(keys, by, strict=True)] for part in parts]
