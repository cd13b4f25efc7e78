"""Restore a damaged price table from all of its files that are whole.

A price table only gets new rows, and a compaction leaves the files that it replaced for at least a week. So
each whole file in the table's folder holds rows of the table, whether the newest version names it or not, and
the rows of a damaged file are often in older ones too.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from forecasting.errors import StoreError
from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.parquet import table_from_bytes
from forecasting.prices.audit.rules import SET_ASIDE
from forecasting.prices.damaged_tables import damaged_prices, set_aside
from forecasting.prices.schema import PRICES
from forecasting.prices.sources.memory import forget
from forecasting.prices.table import write_copy
from forecasting.prices.table_files import Damage, find_damage, remember_files, whole_data_files
from forecasting.storage import Storage


@dataclass(frozen=True)
class Restored:
    """The result of restoring a price table.

    Attributes:
        damage: the damaged files.
        aside: where the damaged table is now.
        rows: number of rows in the new table.
        files: number of files that they came from.
        lost: number of rows that the damaged table's log counts beyond those; None if the log is damaged.
        ranges: the bars of the damaged files that no whole file need hold, one range a file.
    """

    damage: tuple[Damage, ...]
    aside: str
    rows: int
    files: int
    lost: int | None
    ranges: tuple[str, ...]


def restore_prices(panel: Panel, storage: Storage, now: np.datetime64) -> Restored:
    """Rebuild a panel's damaged price table, and keep the damaged one under another name.

    The next ingest reads the whole source, so bars that are lost come back as far as the source offers them.

    Raises:
        StoreError: the table is not damaged.
    """
    path = f"prices/{panel.name}"
    damage = find_damage(storage, path)
    if not damage:
        raise StoreError(f"the price table {storage.display(path)} is whole; there is nothing to restore")
    files = whole_data_files(storage, path)
    rows = _distinct([table_from_bytes(storage.get(file)) for file in files])
    expected, ranges = _described(storage, path, {one.file for one in damage})
    rebuilt = f"{path}.rebuilt-{now.astype('datetime64[us]').item():%Y%m%dT%H%M%S%fZ}"
    write_copy(storage, panel, rebuilt, rows)
    aside = set_aside(storage, path, now)
    storage.move(rebuilt, path)
    remember_files(storage, path)
    forget(storage, panel)
    lost = None if expected is None else max(expected - rows.num_rows, 0)
    return Restored(damage, aside, rows.num_rows, len(files), lost, ranges if lost != 0 else ())


def restore_torn(panel: Panel, storage: Storage, now: np.datetime64) -> tuple[Finding, ...]:
    """Restore the price table if a power cut tore its last commit, and nothing else is damaged.

    The store had not noted yet that it read the rows of that commit, so the ingest reads them again.

    Returns:
        A finding if the table was restored.

    Raises:
        StoreError: files are damaged that were whole; the message names the command that restores them.
    """
    damage = find_damage(storage, f"prices/{panel.name}")
    if not damage:
        return ()
    if not all(one.torn for one in damage):
        raise damaged_prices(panel, storage, damage)
    done = restore_prices(panel, storage, now)
    detail = (
        f"The last commit of the price table was torn, as by a power cut: {', '.join(map(str, damage))}. "
        f"It is kept as {done.aside}; a new one was built from all whole files, and the whole source is read."
    )
    return (Finding.of(SET_ASIDE, "", 0, detail),)


def _distinct(tables: list[pa.Table]) -> pa.Table:
    """All rows once."""
    rows = pa.concat_tables(
        [PRICES.empty_table(), *(table.select(PRICES.names).cast(PRICES) for table in tables)]
    )
    return rows.group_by(PRICES.names, use_threads=False).aggregate([]).select(PRICES.names)


def _described(storage: Storage, path: str, damaged: set[str]) -> tuple[int | None, tuple[str, ...]]:
    """How many rows the log counts (None if it is damaged), and the first and last bar of damaged files."""
    try:
        table = DeltaTable(storage.table_uri(path), storage_options=storage.table_options)
    except DeltaError:
        return None, ()
    files = pa.table(table.get_add_actions(flatten=True))
    bad = files.filter(pc.is_in(files["path"], pa.array(sorted(damaged), pa.string())))
    spans = zip(bad["min.ds"].to_pylist(), bad["max.ds"].to_pylist(), strict=True)
    return pc.sum(files["num_records"]).as_py() or 0, tuple(f"{a:%Y-%m-%d} to {b:%Y-%m-%d}" for a, b in spans)
