"""Append-only Delta tables whose rows record when they were written: shared by all growing tables."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import pyarrow.fs
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import DeltaError

from forecasting.commands import command
from forecasting.errors import StoreError, first_line, one_line
from forecasting.prices.schema import INSTANT
from forecasting.prices.table_files import find_damage, record_path, remember_files
from forecasting.storage import Storage
from forecasting.store_errors import explain, faults_in_plain_words

# Format of the tables. An older version refuses tables of a newer format.
FORMAT = 1

_GROUP_ROWS = 128 * 1024
# In a sorted file, reading one series touches one row group. With 5,000 series (3.75 million rows, warm
# process) small groups make that five times as fast as groups of a million rows, and reading everything is
# no slower. Larger dictionaries do not pay: prices hardly repeat, and they make small groups 50% larger.
WRITER = WriterProperties(
    compression="ZSTD", max_row_group_size=_GROUP_ROWS, dictionary_page_size_limit=64 * 1024
)

_DESCRIPTION = "Nightcast table, format "
_MARK = re.compile(rf"{_DESCRIPTION}(\d+)")
_INSTANT = "datetime64[us]"
_TICK = np.timedelta64(1, "us")
# The table's log stores the last `known_at` as the version of this "application". Two writers that start
# from the same version of the table therefore conflict, and the second one fails.
_KNOWN_AT = "known_at"


def find_table(storage: Storage, path: str) -> DeltaTable | None:
    """The newest version of the table at `path`, or None if there is no table.

    Raises:
        StoreError: the table is damaged, or was written by a newer version of this package or by another
            program.
    """
    uri = storage.table_uri(path)
    try:
        with faults_in_plain_words(uri):
            if not DeltaTable.is_deltatable(uri, storage.table_options):
                return None
            table = DeltaTable(uri, storage_options=storage.table_options)
    except DeltaError as error:
        damage = ", ".join(map(str, find_damage(storage, path)))
        raise _damaged_error(uri, damage or first_line(error)) from error
    mark = _MARK.fullmatch(table.metadata().description or "")
    if mark is None:
        raise StoreError(
            f"{storage.display(path)} is a Delta table that nightcast did not write; "
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
    """Create an empty table at `path`, or open the one that another writer has just created.

    `name` is stored in the table's log and says what the rows are.

    Raises:
        deltalake.exceptions.CommitFailedError: another writer is creating it at this moment.
    """
    storage.delete([record_path(path)])  # the digests of a table that was here before
    with faults_in_plain_words(storage.table_uri(path)):
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
    """When the newest rows were appended; None if the table is empty."""
    microseconds = table.transaction_version(_KNOWN_AT)
    return None if microseconds is None else np.datetime64(microseconds, "us")


def append_rows(
    table: DeltaTable,
    rows: pa.Table,
    now: np.datetime64,
    column: str = _KNOWN_AT,
    marks: Sequence[str] = (),
) -> np.datetime64:
    """Append `rows` in one commit, stamped with `now`, or just after the last stamp if the clock went back.

    Args:
        table: the table to append to.
        rows: all columns of the table except the stamp.
        now: datetime64, UTC.
        column: name of the stamp column.
        marks: labels to store in the log in the same commit; see `has_mark`.

    Returns:
        The stamp of the rows.

    Raises:
        deltalake.exceptions.CommitFailedError: another writer appended since `table` was read.
    """
    last = last_known_at(table)
    now = now.astype(_INSTANT)
    known_at = now if last is None else max(now, last + _TICK)
    append_stamped(
        table, rows.append_column(column, pa.repeat(instant_scalar(known_at), rows.num_rows)), known_at, marks
    )
    return known_at


def append_stamped(table: DeltaTable, rows: pa.Table, last: np.datetime64, marks: Sequence[str] = ()) -> None:
    """Append rows that have their stamps in one commit; `last` is the newest stamp. See `append_rows`."""
    version = int(last.astype(_INSTANT).astype(np.int64))
    transactions = [Transaction(_KNOWN_AT, version), *(Transaction(mark, 1) for mark in marks)]
    with faults_in_plain_words(table.table_uri):
        write_deltalake(
            table,
            rows,
            mode="append",
            writer_properties=WRITER,
            commit_properties=CommitProperties(app_transactions=transactions),
        )


def has_mark(table: DeltaTable, mark: str) -> bool:
    """Whether a commit stored this mark in the table's log. Reads the log only."""
    return table.transaction_version(mark) is not None


def newest_of(table: DeltaTable, column: str) -> np.datetime64 | None:
    """Maximum of a timestamp column, in milliseconds, from the log alone; None if the table is empty."""
    files = pa.table(table.get_add_actions(flatten=True))
    if not files.num_rows:
        return None
    newest: np.datetime64 = files[f"max.{column}"].to_numpy().max().astype(_INSTANT)
    return newest


def open_dataset(
    table: DeltaTable, options: pyarrow.dataset.ParquetReadOptions | None = None
) -> pyarrow.dataset.Dataset:
    """The files of a table as a dataset; those of a local folder through pyarrow's own file system.

    The file system of `deltalake` is Python code that threads of pyarrow call. One that still lets go of a
    file when the process ends calls Python after its end, and aborts the process, whose exit code is then
    134 although its work is done.
    """
    files = None
    if table.table_uri.startswith("file://"):
        folder = unquote(urlsplit(table.table_uri).path)
        files = pyarrow.fs.SubTreeFileSystem(folder, pyarrow.fs.LocalFileSystem())
    return table.to_pyarrow_dataset(filesystem=files, parquet_read_options=options)


def scan_rows(
    table: DeltaTable,
    schema: pa.Schema,
    condition: pc.Expression | None = None,
    ids: Sequence[str] | None = None,
) -> pa.Table:
    """The columns of `schema` for the rows that meet `condition`, in any order.

    `ids`, sorted, are the series whose rows are read; None: all.

    Raises:
        StoreError: a file of the table is missing or damaged.
    """
    with damage_as_store_error(table):
        encoded = [field.name for field in schema if pa.types.is_dictionary(field.type)]
        options = pa.dataset.ParquetReadOptions(dictionary_columns=encoded)
        data = open_dataset(table, options)
        if ids is not None:
            if not ids:
                return schema.empty_table()
            data = _narrowed(data, _large_files(table), ids[0], ids[-1])
            of_series = pc.field("unique_id").isin(pa.array(ids, pa.string()))
            condition = of_series if condition is None else condition & of_series
        rows = data.to_table(columns=schema.names, filter=condition)
    return rows.cast(schema)


def row_count(table: DeltaTable) -> int:
    """The number of rows of a table, from the log alone."""
    return int(sum(pa.table(table.get_add_actions(flatten=True))["num_records"].to_pylist()))


def _large_files(table: DeltaTable) -> set[str]:
    """The names of the files that have more than one row group."""
    files = pa.table(table.get_add_actions(flatten=True)).select(["path", "num_records"]).to_pylist()
    return {PurePosixPath(file["path"]).name for file in files if file["num_records"] > _GROUP_ROWS}


def _narrowed(data: pa.dataset.Dataset, large: set[str], first: str, last: str) -> pa.dataset.Dataset:
    """The dataset without the row groups whose series all come before `first` or after `last`.

    pyarrow 26 does not look at the statistics of text columns when it filters. Only `large` files are looked
    at: each look costs a request to the store.
    """
    kept = []
    for fragment in data.get_fragments():
        if PurePosixPath(fragment.path).name not in large:
            kept.append(fragment)
            continue
        metadata = fragment.metadata
        column = metadata.schema.names.index("unique_id")
        groups = [
            number
            for number in range(metadata.num_row_groups)
            if _overlaps(metadata.row_group(number).column(column).statistics, first, last)
        ]
        kept.append(fragment.subset(row_group_ids=groups))
    return pa.dataset.FileSystemDataset(kept, data.schema, data.format, data.filesystem)


def _overlaps(statistics: Any, first: str, last: str) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= last and first <= statistics.max)


class AppendLog:
    """A table without partitions that one panel appends rows to; created by the first `append`.

    Raises:
        StoreError: a newer version of this package wrote it.
    """

    def __init__(self, storage: Storage, path: str, schema: pa.Schema) -> None:
        self._storage = storage
        self._path = path
        self._schema = schema
        self._table = find_table(storage, path)

    def rows(self) -> pa.Table:
        """All rows, in any order."""
        if self._table is None:
            return self._schema.empty_table()
        return scan_rows(self._table, self._schema)

    def append(self, rows: pa.Table, now: np.datetime64) -> None:
        """Append rows in one commit, with `now` as their `known_at`.

        Raises:
            deltalake.exceptions.CommitFailedError: another writer appended at the same time.
        """
        if self._table is None:
            self._table = create_table(self._storage, self._path, self._schema, [])
        append_rows(self._table, rows, now)
        remember_files(self._storage, self._path)


@contextmanager
def damage_as_store_error(table: DeltaTable) -> Iterator[None]:
    """Turn a missing or damaged data file, found while the table is read, into a `StoreError`.

    Raises:
        StoreError: a file of the table is missing or damaged. The message names it.
    """
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        told = explain(error, table.table_uri)
        if told is not None:
            raise told from error
        raise _damaged_error(table.table_uri, _unreadable(table) or one_line(error)) from error


def _unreadable(table: DeltaTable) -> str:
    """The first file of the table that cannot be read, and why; empty if all can be read."""
    for fragment in open_dataset(table).get_fragments():
        try:
            fragment.to_table()
        except (pa.ArrowException, OSError) as error:
            return f"{fragment.path} ({first_line(error)})"
    return ""


def _damaged_error(uri: str, what: str) -> StoreError:
    """The error for a table at `uri`, whose last two parts are its kind and its panel."""
    place = unquote(uri.removeprefix("file://")).rstrip("/")
    store, kind, panel = place.rsplit("/", 2)
    if kind == "prices":
        back = f"to rebuild it from all files that are whole, run: {command('restore', panel, store=store)}"
    else:
        back = f"the next run sets it aside and begins it anew: {command('run', panel, store=store)}"
    return StoreError(f"the table {place} is damaged: {what}; {back}")


def instant_scalar(instant: np.datetime64) -> pa.Scalar:
    """An instant in the type that the tables store."""
    return pa.scalar(instant.astype(_INSTANT), pa.timestamp("us")).cast(INSTANT)
