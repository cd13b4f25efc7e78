"""The price table: every value that a panel's bars ever had, and when the store learned it.

It is an append-only Delta table, `prices/<panel>/`: a revision is a new row with a later `known_at`.
"""

from collections.abc import Sequence
from copy import copy
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from forecasting.commands import command
from forecasting.errors import StoreError
from forecasting.panel import Panel
from forecasting.prices.delta import (
    append_rows,
    append_stamped,
    create_table,
    find_table,
    instant_scalar,
    last_known_at,
    newest_of,
    row_count,
    scan_rows,
)
from forecasting.prices.order import arrange, encode_ids, order_bars
from forecasting.prices.schema import BARS, GOOD, PRICES, VALUES
from forecasting.prices.table_files import remember_files
from forecasting.prices.vintages import first_rows
from forecasting.storage import Storage

_BARS_OF = "bars of "


class PriceTable:
    """The price table of one panel, as it was when this object was created or last appended to.

    Every read returns one row per bar, sorted by `unique_id`, `ds`, with the requested columns of
    `schema.BARS`. `known_at` is the stamp of the values returned. The name of the method says which value of
    a bar it returns.

    Raises:
        StoreError: the panel has no prices yet, or a newer version of this package wrote them.
    """

    def __init__(self, storage: Storage, panel: Panel | str) -> None:
        name = panel if isinstance(panel, str) else panel.name
        table = find_table(storage, _path(name))
        if table is None:
            raise StoreError(
                f"no prices of panel {name} in the store {storage.uri}; "
                f"run: {command('ingest', panel, store=storage.uri)} (or check --store)"
            )
        self._table = table
        self._storage = storage
        self._path = _path(name)
        self._ids: tuple[str, ...] | None = None

    def of(self, ids: Sequence[str]) -> "PriceTable":
        """The same table, whose reads return the rows of these series only."""
        part = copy(self)
        part._ids = tuple(sorted(ids))  # noqa: SLF001 - of the same class
        return part

    @classmethod
    def exists(cls, storage: Storage, panel: str) -> bool:
        """Whether the panel has a price table.

        Raises:
            StoreError: a newer version of this package wrote it.
        """
        return find_table(storage, _path(panel)) is not None

    @classmethod
    def create(cls, storage: Storage, panel: Panel) -> Self:
        """Open the panel's price table; create it if there is none.

        Raises:
            StoreError: its bars have another frequency than the panel's.
            deltalake.exceptions.CommitFailedError: another writer is creating it at this moment.
        """
        if not cls.exists(storage, panel.name):
            _create(storage, panel, _path(panel.name))
        table = cls(storage, panel.name)
        freq = (table._table.metadata().name or "").removeprefix(_BARS_OF)
        if freq and freq != panel.bars.freq:
            raise StoreError(
                f"the prices of panel {panel.name} in the store {storage.uri} are bars of {freq}, and its "
                f"[bars].freq is {panel.bars.freq}; set it back, or give the panel another name"
            )
        return table

    @property
    def version(self) -> int:
        """Version of the Delta table."""
        return int(self._table.version())

    @property
    def known_at(self) -> np.datetime64 | None:
        """When the newest rows were appended, UTC; None if the table is empty."""
        return last_known_at(self._table)

    @property
    def newest_ds(self) -> np.datetime64 | None:
        """The newest bar; None if the table is empty."""
        return newest_of(self._table, "ds")

    @property
    def rows(self) -> int:
        """The number of stored rows."""
        return row_count(self._table)

    @property
    def ids(self) -> tuple[str, ...]:
        """Every series that the table has a row of, sorted."""
        rows = scan_rows(self._table, pa.schema([BARS.field("unique_id")]))
        return tuple(sorted(pc.unique(rows["unique_id"]).to_pylist()))

    def newest(self, until: np.datetime64 | None = None, values: Sequence[str] = VALUES) -> pa.Table:
        """The newest value of each bar at or before `until`. Live runs read this."""
        rows = self._rows(values, until)
        return arrange(rows, order_bars(rows).last)

    def newest_since(self, since: np.datetime64, values: Sequence[str] = VALUES) -> pa.Table:
        """The newest value of each bar at or after `since`. An ingest compares its offer with this."""
        rows = self._rows(values, None, pc.field("ds") >= instant_scalar(since))
        return arrange(rows, order_bars(rows).last)

    def as_known_at(
        self,
        instant: np.datetime64,
        until: np.datetime64 | None = None,
        values: Sequence[str] = VALUES,
        since: np.datetime64 | None = None,
    ) -> pa.Table:
        """The newest value of each bar known at `instant`. This reproduces a published forecast."""
        condition = _known_by(instant)
        if since is not None:
            condition &= pc.field("ds") >= instant_scalar(since)
        rows = self._rows(values, until, condition)
        return arrange(rows, order_bars(rows).last)

    def first_vintage(
        self,
        until: np.datetime64 | None = None,
        values: Sequence[str] = VALUES,
        known_by: np.datetime64 | None = None,
    ) -> pa.Table:
        """The first value stored for each bar, as a live run would have seen it (backtests, backfills).

        A vintage that restates the whole past of a series replaces the older values; see `vintages`. Rows
        that arrived after `known_by` are ignored.
        """
        rows = self._rows(values, until, None if known_by is None else _known_by(known_by))
        return arrange(rows, first_rows(rows))

    def append(self, rows: pa.Table, now: np.datetime64) -> np.datetime64:
        """Append rows (`schema.GOOD`) in one commit.

        Args:
            rows: in any order; the files are sorted by `unique_id`, `ds`.
            now: datetime64[us], UTC.

        Returns:
            The `known_at` of the rows: `now`, or one microsecond after the panel's last one if that is later.

        Raises:
            deltalake.exceptions.CommitFailedError: another writer appended since this table was read.
        """
        rows = arrange(rows.select(GOOD.names), order_bars(rows).rows)
        rows = rows.cast(GOOD.set(0, rows.schema.field(0)))  # ids stay encoded, if they are
        known_at = append_rows(self._table, _with_parts(self._table, rows), now)
        remember_files(self._storage, self._path)
        return known_at

    def _rows(
        self, values: Sequence[str], until: np.datetime64 | None, condition: pc.Expression | None = None
    ) -> pa.Table:
        wanted = pa.schema([field for field in BARS if field.name not in VALUES or field.name in values])
        if until is not None:
            by_then = pc.field("ds") <= instant_scalar(until)
            condition = by_then if condition is None else by_then & condition
        return encode_ids(scan_rows(self._table, wanted, condition, self._ids))


def write_copy(storage: Storage, panel: Panel, path: str, rows: pa.Table) -> None:
    """Write rows (`schema.PRICES`, with their stamps) as a new price table at `path`."""
    table = _create(storage, panel, path)
    if rows.num_rows:
        rows = rows.sort_by([(name, "ascending") for name in ("unique_id", "ds", "known_at")])
        last = np.datetime64(pc.max(rows["known_at"]).value, "us")
        append_stamped(table, _with_parts(table, rows), last)


def _create(storage: Storage, panel: Panel, path: str) -> DeltaTable:
    # Partition columns are plain integers, which every reader of Delta tables supports. A partition holds a
    # year of daily bars, or a month of intraday bars.
    partition_by = ["year", "month"] if panel.bars.intraday else ["year"]
    schema = pa.schema([*PRICES, *((name, pa.int32()) for name in partition_by)])
    return create_table(storage, path, schema, partition_by, f"{_BARS_OF}{panel.bars.freq}")


def _with_parts(table: DeltaTable, rows: pa.Table) -> pa.Table:
    """The rows with the columns that the table is partitioned by."""
    local = rows["ds"].cast(pa.timestamp("us"))  # in UTC, but without a zone to look up
    parts = {"year": pc.year, "month": pc.month}
    for name in table.metadata().partition_columns:
        rows = rows.append_column(name, parts[name](local).cast(pa.int32()))
    return rows


def _known_by(instant: np.datetime64) -> pc.Expression:
    return pc.field("known_at") <= instant_scalar(instant)


def _path(panel: str) -> str:
    return f"prices/{panel}"
