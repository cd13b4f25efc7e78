"""The split table: every split that back-adjustment has found in a panel's prices.

A Delta table, `splits/<panel>/`, that only gets rows.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from forecasting.prices.audit.splits import Split
from forecasting.prices.delta import append_rows, create_table, find_table, scan_rows
from forecasting.prices.order import instants
from forecasting.prices.schema import INSTANT
from forecasting.storage import Storage

_SPLITS = pa.schema(
    [("unique_id", pa.string()), ("ds", INSTANT), ("ratio", pa.float64()), ("known_at", INSTANT)]
)


class SplitTable:
    """One panel's split table.

    Raises:
        StoreError: a newer version of this package wrote it.
    """

    def __init__(self, storage: Storage, panel: str) -> None:
        self._storage = storage
        self._path = f"splits/{panel}"
        self._table = find_table(storage, self._path)

    def splits(self) -> tuple[Split, ...]:
        """All its splits."""
        if self._table is None:
            return ()
        rows = scan_rows(self._table, _SPLITS)
        columns = rows["unique_id"].to_pylist(), instants(rows["ds"]), rows["ratio"].to_pylist()
        return tuple(Split(*row) for row in zip(*columns, strict=True))

    def add(self, splits: Sequence[Split], now: np.datetime64) -> None:
        """Append splits that are not there yet.

        Raises:
            deltalake.exceptions.CommitFailedError: another writer did so at the same time.
        """
        if not splits:
            return
        if self._table is None:
            self._table = create_table(self._storage, self._path, _SPLITS, [])
        columns = {
            "unique_id": [split.unique_id for split in splits],
            "ds": pa.array([split.ds for split in splits], pa.timestamp("us")).cast(INSTANT),
            "ratio": [split.ratio for split in splits],
        }
        append_rows(self._table, pa.table(columns), now)
