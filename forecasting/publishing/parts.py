"""Parts of a forecast: what each shard of series makes, and how the parts become one file.

The parts are in `_shards/` of the forecast's folder until they are joined. A forecast of one shard is written
in place.
"""

import io
from typing import Any

import pyarrow.parquet as pq

from forecasting.parquet import table_from_bytes
from forecasting.publishing.address import ForecastAddress
from forecasting.shards import Shard
from forecasting.storage import Storage

_FOLDER = "_shards"


def part_path(address: ForecastAddress, name: str, shard: Shard) -> str:
    """Return where a shard's part of the file `name` is written."""
    return address.path(name) if shard.count == 1 else _part(address, name, shard.number)


def join_parts(
    storage: Storage, address: ForecastAddress, name: str, count: int, options: dict[str, Any]
) -> None:
    """Write the file `name` from the parts of `count` shards, a row group each.

    `options` are further ones of `pyarrow.parquet.ParquetWriter`. One part is in memory at a time.

    Raises:
        StoreError: a part is missing.
    """
    parts = (storage.get(_part(address, name, number)) for number in range(count))
    tables = (table_from_bytes(part) for part in parts)
    first = next(tables)
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, first.schema, compression="zstd", **options) as writer:
        for table in (first, *tables):
            writer.write_table(table)
    storage.put(address.path(name), buffer.getvalue())


def remove_parts(storage: Storage, address: ForecastAddress) -> None:
    """Delete the parts of a forecast that is joined."""
    storage.delete(storage.list(address.path(_FOLDER)))


def _part(address: ForecastAddress, name: str, number: int) -> str:
    return address.path(f"{_FOLDER}/{number:05}/{name}")
