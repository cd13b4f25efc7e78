"""The split table: every split that back-adjustment has found in a panel's prices.

It is an append-only Delta table, `splits/<panel>/`.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from forecasting.prices.audit.splits import Split
from forecasting.prices.delta import AppendLog
from forecasting.prices.order import instants
from forecasting.prices.schema import INSTANT
from forecasting.storage import Storage

_SPLITS = pa.schema(
    [("unique_id", pa.string()), ("ds", INSTANT), ("ratio", pa.float64()), ("known_at", INSTANT)]
)


class SplitTable:
    """The split table of one panel.

    Raises:
        StoreError: a newer version of this package wrote it.
    """

    def __init__(self, storage: Storage, panel: str) -> None:
        self._log = AppendLog(storage, f"splits/{panel}", _SPLITS)

    def splits(self) -> tuple[Split, ...]:
        """All splits found so far."""
        rows = self._log.rows()
        columns = rows["unique_id"].to_pylist(), instants(rows["ds"]), rows["ratio"].to_pylist()
        return tuple(Split(*row) for row in zip(*columns, strict=True))

    def add(self, splits: Sequence[Split], now: np.datetime64) -> None:
        """Append splits that are not in the table yet.

        Raises:
            deltalake.exceptions.CommitFailedError: another writer appended at the same time.
        """
        if not splits:
            return
        columns = {
            "unique_id": [split.unique_id for split in splits],
            "ds": pa.array([split.ds for split in splits], pa.timestamp("us")).cast(INSTANT),
            "ratio": [split.ratio for split in splits],
        }
        self._log.append(pa.table(columns), now)
