"""The quarantine: every row ever refused, and why. Nothing is dropped.

A Delta table, `quarantine/<panel>/`, that only gets rows.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.prices.delta import append_rows, create_table, find_table, scan_rows
from forecasting.prices.schema import QUARANTINE, REFUSED
from forecasting.storage import Storage


class Quarantine:
    """One panel's quarantine.

    Raises:
        StoreError: a newer version of this package wrote it.
    """

    def __init__(self, storage: Storage, panel: str) -> None:
        self._storage = storage
        self._path = f"quarantine/{panel}"
        self._table = find_table(storage, self._path)

    def rows(self) -> pa.Table:
        """All its rows, `schema.QUARANTINE`."""
        if self._table is None:
            return QUARANTINE.empty_table()
        return scan_rows(self._table, QUARANTINE)

    def add(self, refused: pa.Table, now: np.datetime64) -> int:
        """Append those rows of `refused` (`schema.REFUSED`) that are not there yet; how many these were.

        Raises:
            deltalake.exceptions.CommitFailedError: another writer did so at the same time.
        """
        if not refused.num_rows:
            return 0
        keys = _keys(refused)
        _, firsts = np.unique(keys.to_numpy(), return_index=True)
        known = pc.is_in(keys, value_set=_keys(self.rows())).to_numpy()
        new = np.sort(firsts[~known[firsts]])
        if len(new):
            if self._table is None:
                self._table = create_table(self._storage, self._path, QUARANTINE, [])
            append_rows(self._table, refused.take(new), now)
        return len(new)


def _keys(rows: pa.Table) -> pa.ChunkedArray:
    """One text a row that says all that was refused about it."""
    columns = [pc.fill_null(rows[name].cast(pa.string()), "") for name in REFUSED.names if name != "detail"]
    return pc.binary_join_element_wise(*columns, "\x1f")
