"""Parquet files in memory: a table to bytes and back."""

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def table_to_bytes(table: pa.Table, **options: Any) -> bytes:
    """Return `table` as a Parquet file, compressed with Zstandard; equal tables give equal bytes.

    Args:
        table: the table to write.
        options: further options of `pyarrow.parquet.write_table`.
    """
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **{"compression": "zstd", **options})
    return buffer.getvalue()


def table_from_bytes(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file, or only some of its columns. Checksums of its pages are compared, if it has any.

    Raises:
        ValueError: `data` is not a Parquet file, is damaged, or lacks one of `columns`.
    """
    try:
        table = pq.read_table(io.BytesIO(data), columns=columns, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error
    missing = [name for name in columns or () if name not in table.column_names]
    if missing:
        raise ValueError(f"no column {missing[0]!r}")
    return table
