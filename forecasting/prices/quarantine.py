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

        A row that is refused twice at once is there twice.

        Raises:
            deltalake.exceptions.CommitFailedError: another writer did so at the same time.
        """
        if not refused.num_rows:
            return 0
        new = _new(_keys(self.rows()), _keys(refused))
        if len(new):
            if self._table is None:
                self._table = create_table(self._storage, self._path, QUARANTINE, [])
            append_rows(self._table, refused.take(new), now)
        return len(new)


def _new(known: pa.ChunkedArray, refused: pa.ChunkedArray) -> np.ndarray:
    """Positions of the refused rows that are new: of n that say the same, those beyond the known ones."""
    both = pa.chunked_array([*known.chunks, *refused.chunks], pa.string()).combine_chunks()
    code = both.dictionary_encode().indices.to_numpy()
    times = np.bincount(code[: len(known)], minlength=code.max() + 1)
    code = code[len(known) :]
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    number = np.empty(len(code), dtype=np.int64)
    number[order] = np.arange(len(code)) - np.repeat(starts, np.diff(starts, append=len(code)))
    return np.flatnonzero(number >= times[code])


def _keys(rows: pa.Table) -> pa.ChunkedArray:
    """One text a row that says all that was refused about it."""
    columns = [pc.fill_null(rows[name].cast(pa.string()), "") for name in REFUSED.names if name != "detail"]
    return pc.binary_join_element_wise(*columns, "\x1f")
