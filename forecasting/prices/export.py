"""Export: write a panel's newest prices to one plain Parquet file."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from forecasting.errors import StoreError
from forecasting.panel import Panel
from forecasting.prices.schema import PRICES
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage


def export_file(target: str) -> Path:
    """The local file that `target` names. Its folder is created if needed.

    Raises:
        StoreError: `target` cannot be a file.
    """
    if "://" in target:
        raise StoreError(f"--export {target} is not a local file; give a local path, then copy the file")
    file = Path(target)
    if file.is_dir() or target.endswith(os.sep):
        raise StoreError(
            f"--export {target!r} is a folder; give a file in it, such as {file / 'prices.parquet'}"
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(file, error) from error
    return file


def export_prices(storage: Storage, panel: Panel | str, file: Path) -> int:
    """Write the newest value of each bar of a panel to `file`.

    The columns are those of `schema.PRICES`, sorted by `unique_id`, `ds`. An existing file is replaced
    atomically.

    Returns:
        Number of bars written.

    Raises:
        StoreError: the panel has no prices, or the file cannot be written.
    """
    rows: pa.Table = PriceTable(storage, panel).newest().cast(PRICES)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        pq.write_table(rows, unfinished, compression="zstd")
        unfinished.replace(file)
    except OSError as error:
        raise _unwritable(file, error) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return rows.num_rows


def _unwritable(file: Path, error: OSError) -> StoreError:
    return StoreError(f"cannot write {file} ({error.strerror or error}); give --export another path")
