"""The quarantine: every row that was ever refused, with the reason.

It is an append-only Delta table, `quarantine/<panel>/`.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.prices.delta import AppendLog
from forecasting.prices.schema import QUARANTINE, REFUSED
from forecasting.storage import Storage


class Quarantine:
    """The quarantine of one panel.

    Raises:
        StoreError: a newer version of this package wrote it.
    """

    def __init__(self, storage: Storage, panel: str) -> None:
        self._log = AppendLog(storage, f"quarantine/{panel}", QUARANTINE)

    def rows(self) -> pa.Table:
        """All rows, as `schema.QUARANTINE`."""
        return self._log.rows()

    def add(self, refused: pa.Table, now: np.datetime64) -> int:
        """Append the rows of `refused` (`schema.REFUSED`) that are not in the quarantine yet.

        A row that one offer holds twice is stored twice.

        Returns:
            Number of rows appended.

        Raises:
            deltalake.exceptions.CommitFailedError: another writer appended at the same time.
        """
        if not refused.num_rows:
            return 0
        new = _new(_keys(self.rows()), _keys(refused))
        if len(new):
            self._log.append(refused.take(new), now)
        return len(new)


def _new(known: pa.ChunkedArray, refused: pa.ChunkedArray) -> np.ndarray:
    """Positions of the new rows: of n equal rows, those beyond the number already known."""
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
    """One text per row that identifies the refused row."""
    columns = [pc.fill_null(rows[name].cast(pa.string()), "") for name in REFUSED.names if name != "detail"]
    return pc.binary_join_element_wise(*columns, "\x1f")
