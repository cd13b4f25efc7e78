"""What the growing tables have in common: Delta tables that only ever get rows, each knowing when it came."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake

from forecasting.errors import StoreError, one_line
from forecasting.prices.schema import INSTANT
from forecasting.storage import Storage

# The format of the tables below. A reader of an older version must not guess at what a newer one wrote.
FORMAT = 1

# In a sorted file a read of one series touches one group of rows: of 5,000 series that takes a fifth of the
# time that groups of a million rows do, and of all of them no more (3.75 million rows, in a warm process).
# Larger dictionaries do not pay: prices hardly repeat, and small groups with them are half as large again.
WRITER = WriterProperties(
    compression="ZSTD", max_row_group_size=128 * 1024, dictionary_page_size_limit=64 * 1024
)

_DESCRIPTION = "Nightcast table, format "
_MARK = re.compile(rf"{_DESCRIPTION}(\d+)")
_INSTANT = "datetime64[us]"
_TICK = np.timedelta64(1, "us")
# The log itself keeps the last `known_at`, as the version of this "application". So two writers that started
# from the same version of the table conflict, and the second one fails instead of writing into the past.
_KNOWN_AT = "known_at"


def find_table(storage: Storage, path: str) -> DeltaTable | None:
    """The newest version of the table at `path`, or None where there is none.

    Raises:
        StoreError: a newer version of this package wrote it, or something else did.
    """
    uri = storage.table_uri(path)
    if not DeltaTable.is_deltatable(uri, storage.table_options):
        return None
    table = DeltaTable(uri, storage_options=storage.table_options)
    mark = _MARK.fullmatch(table.metadata().description or "")
    if mark is None:
        raise StoreError(
            f"{storage.display(path)} is a Delta table, but none that nightcast wrote; "
            "move it elsewhere, or check --store"
        )
    written = int(mark[1])
    if written > FORMAT:
        raise StoreError(
            f"{storage.display(path)} has format {written}, newer than {FORMAT}; upgrade nightcast to read it"
        )
    return table


def create_table(
    storage: Storage, path: str, schema: pa.Schema, partition_by: list[str], name: str | None = None
) -> DeltaTable:
    """A new empty table at `path`, or the one that another writer has just made there.

    `name` says in the table's log what its rows are.

    Raises:
        deltalake.exceptions.CommitFailedError: another writer is making it right now.
    """
    return DeltaTable.create(
        storage.table_uri(path),
        schema=schema,
        mode="ignore",
        partition_by=partition_by,
        name=name,
        description=f"{_DESCRIPTION}{FORMAT}",
        configuration={"delta.appendOnly": "true"},
        storage_options=storage.table_options,
    )


def last_known_at(table: DeltaTable) -> np.datetime64 | None:
    """When the newest rows came, None in an empty table."""
    microseconds = table.transaction_version(_KNOWN_AT)
    return None if microseconds is None else np.datetime64(microseconds, "us")


def append_rows(
    table: DeltaTable,
    rows: pa.Table,
    now: np.datetime64,
    column: str = _KNOWN_AT,
    marks: Sequence[str] = (),
) -> np.datetime64:
    """Append `rows` in one commit as known since `now`, or just after the last rows if the clock went back.

    Args:
        table: where to.
        rows: with the table's columns but for the one that says when they came.
        now: datetime64, UTC.
        column: the one that says so.
        marks: what the log is to remember besides, in the same commit: see `has_mark`.

    Returns:
        Since when they are known.

    Raises:
        deltalake.exceptions.CommitFailedError: another writer appended since `table` was read.
    """
    last = last_known_at(table)
    now = now.astype(_INSTANT)
    known_at = now if last is None else max(now, last + _TICK)
    stamp = instant_scalar(known_at)
    version = int(known_at.astype(np.int64))
    write_deltalake(
        table,
        rows.append_column(column, pa.repeat(stamp, rows.num_rows)),
        mode="append",
        writer_properties=WRITER,
        commit_properties=CommitProperties(
            app_transactions=[Transaction(_KNOWN_AT, version), *(Transaction(mark, 1) for mark in marks)]
        ),
    )
    return known_at


def has_mark(table: DeltaTable, mark: str) -> bool:
    """Whether a commit has left that mark in the table's log; no file of the table is read."""
    return table.transaction_version(mark) is not None


def newest_of(table: DeltaTable, column: str) -> np.datetime64 | None:
    """The newest of a column of instants, to the millisecond, from the log alone; None in an empty table."""
    files = pa.table(table.get_add_actions(flatten=True))
    if not files.num_rows:
        return None
    newest: np.datetime64 = files[f"max.{column}"].to_numpy().max().astype(_INSTANT)
    return newest


def scan_rows(table: DeltaTable, schema: pa.Schema, condition: pc.Expression | None = None) -> pa.Table:
    """The columns of `schema` of the rows that meet the condition, in any order.

    Raises:
        StoreError: a file of the table is gone.
    """
    with told_what_is_gone(table):
        rows = table.to_pyarrow_dataset().to_table(columns=schema.names, filter=condition)
    return rows.cast(schema)


@contextmanager
def told_what_is_gone(table: DeltaTable) -> Iterator[None]:
    """While the table is read: a file that is not there is told as what a person can act on.

    Raises:
        StoreError: a file of the table is gone.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise StoreError(
            f"the table {table.table_uri} lacks a file that its log names ({one_line(error)}); "
            "restore it from a backup, or move the table away and ingest again"
        ) from error


def instant_scalar(instant: np.datetime64) -> pa.Scalar:
    """An instant as the tables hold it."""
    return pa.scalar(instant.astype(_INSTANT), pa.timestamp("us")).cast(INSTANT)
