"""Layouts: convert a table as it is in the source, wide or long, to offered rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import compress

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.errors import SourceError
from forecasting.panel import Panel, Source
from forecasting.prices.schema import INSTANT, OFFERED, VALUES
from forecasting.prices.sources.cells import (
    absent_as_null,
    is_text,
    names_zone,
    read_numbers,
    read_text,
    read_times,
)


@dataclass(frozen=True)
class Origin:
    """The file or query that a table comes from.

    Attributes:
        name: its name in messages.
        series: id of the series, if the panel says that each file is one series.
    """

    name: str
    series: str = ""


def to_offered(table: pa.Table, origin: Origin, panel: Panel) -> pa.Table:
    """The rows that one table offers, as `schema.OFFERED`.

    Args:
        table: the columns as they are in the source.
        origin: the file or query that the table comes from.
        panel: says which columns hold what, and which series are wanted.

    Raises:
        SourceError: a column that the panel names is missing, or has the wrong type.
    """
    read = _from_wide if panel.source.layout == "wide" else _from_long
    try:
        return read(table, origin, panel)
    except pa.ArrowNotImplementedError as error:
        raise SourceError(
            f"{origin.name}: a column does not hold times or numbers as it should ({error}); "
            "check the columns that [source] names in the panel"
        ) from error


def unreadable_rows(texts: list[str]) -> pa.Table:
    """Rows of which only the text is known, as `schema.OFFERED`."""
    nothing = {field.name: pa.nulls(len(texts), field.type) for field in OFFERED}
    return pa.table(nothing | {"raw": pa.array(texts, pa.string())}, schema=OFFERED)


def _from_wide(table: pa.Table, origin: Origin, panel: Panel) -> pa.Table:
    source, name = panel.source, origin.name
    if panel.forecast.target != "close":
        raise SourceError(
            f'{name}: a wide source holds only closes; set [forecast].target = "close" in the panel'
        )
    written = _column(table, source.time_column, name, "set [source].time_column")
    places = [at for at, column in enumerate(table.column_names) if column not in ("", source.time_column)]
    if not places:
        raise SourceError(
            f"{name} has no column but {source.time_column!r}; a wide source has one for each series: "
            "check [source].uri and [source].layout in the panel"
        )
    ids = pa.chunked_array([[source.prefix + table.column_names[at] for at in places]], pa.string())
    wanted = _wanted(ids, source).to_pylist()
    ids, places = ids.filter(pa.array(wanted)), [*compress(places, wanted)]
    if not places:
        return OFFERED.empty_table()
    cells = _cells(_end_to_end([table.column(at) for at in places]), source)
    filled = np.flatnonzero(pc.is_valid(cells))
    series, row = np.divmod(filled, table.num_rows)
    times = _times(written, panel).take(row)
    closes = {"close": cells.take(filled)}
    return _assemble(ids.take(pa.array(series)), times, written.take(row), closes, panel)


def _from_long(table: pa.Table, origin: Origin, panel: Panel) -> pa.Table:
    source, name = panel.source, origin.name
    written = _column(table, source.time_column, name, "set [source].time_column")
    if source.id_column:
        fix = 'set [source].id_column, or to "" where each file is one series and its name the id,'
        ids = read_text(_column(table, source.id_column, name, fix))
    else:
        ids = pa.chunked_array([pa.repeat(origin.series, table.num_rows)])
    columns = _value_columns(table.column_names, source)
    cells = {
        value: _cells(
            _column(table, columns.get(value, value), name, f"map {value} in [source.columns]"), source
        )
        for value in VALUES
        if value in columns or value == panel.forecast.target
    }
    if source.prefix:
        ids = pc.binary_join_element_wise(source.prefix, ids, "")
    offered = _assemble(ids, _times(written, panel), written, cells, panel)
    empty = np.logical_and.reduce([pc.is_null(column) for column in cells.values()])
    return offered.filter(pc.and_(pa.array(~empty), _wanted(ids, source)))


def _value_columns(names: list[str], source: Source) -> dict[str, str]:
    """The column of each value: the one that the panel names, or else the one with the same name.

    Case is ignored if only one column matches. But if the panel reads a value from a column with a different
    name, such as an adjusted close, a column called `High` may hold another kind of price and is not used.
    """
    named = {str(value): column for value, column in source.columns.items()}
    found = {value: value for value in VALUES if value in names} | named
    if all(column.lower() == value for value, column in named.items()):
        alike = {value: [name for name in names if name.lower() == value] for value in VALUES}
        found = {value: some[0] for value, some in alike.items() if len(some) == 1} | found
    return found


def _cells(column: pa.ChunkedArray, source: Source) -> pa.ChunkedArray:
    """A column of values, null where absent: as numbers if all of them are, else as text."""
    if not source.na_values and source.decimal != ",":
        try:
            return column.cast(pa.float64())
        except pa.ArrowInvalid:  # at least one text is empty or not a number
            pass
    return absent_as_null(column, source.na_values)


def _wanted(ids: pa.ChunkedArray, source: Source) -> pa.ChunkedArray:
    """Whether each id is in the panel's lists. A null id is, so that the audit refuses its row."""
    known = pc.unique(ids).drop_null().to_pylist()
    unwanted = [
        one
        for one in known
        if (source.include and not _is_like(one, source.include)) or _is_like(one, source.exclude)
    ]
    return pc.invert(pc.is_in(ids, value_set=pa.array(unwanted, pa.string())))


def _is_like(unique_id: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(unique_id, pattern) for pattern in patterns)


def _column(table: pa.Table, column: str, name: str, fix: str) -> pa.ChunkedArray:
    if column not in table.column_names:
        has = ", ".join(filter(None, table.column_names))
        raise SourceError(f"no column {column!r} in {name} (it has: {has}); {fix} in the panel")
    return table.column(table.column_names.index(column))


def _end_to_end(columns: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    kinds = {column.type for column in columns}
    if len(kinds) > 1:
        as_text = any(map(is_text, kinds))
        columns = [column.cast(pa.string() if as_text else pa.float64()) for column in columns]
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks])


def _times(written: pa.ChunkedArray, panel: Panel) -> pa.ChunkedArray:
    daily = panel.bars.freq == "1D"
    times = read_times(written, daily=daily, form=panel.source.time_format, zone=panel.source.time_zone)
    return times if daily or panel.source.stamp == "start" else _starts(times, panel)


def _starts(ends: pa.ChunkedArray, panel: Panel) -> pa.ChunkedArray:
    """The starts of the bars that end at `ends`: one step earlier, except for a session's short last bar.

    An instant at which no bar ends becomes one that is off the calendar.
    """
    calendar, step = panel.calendar, pd.Timedelta(panel.bars.freq).to_numpy().astype("timedelta64[us]")
    stamps = ends.to_numpy().astype("datetime64[us]")
    starts = np.where(calendar.contains(stamps - step), stamps, stamps - step)
    known = (stamps - step >= calendar.begin) & (stamps <= calendar.end)  # NaT is not
    if known.any():
        bars = calendar.bars(stamps[known].min() - step, stamps[known].max())
        near = np.searchsorted(bars, stamps[known]) - 1
        bar = bars[np.maximum(near, 0)]
        is_its_end = (near >= 0) & (calendar.closes(bar) == stamps[known])
        starts[known] = np.where(is_its_end, bar, starts[known])
    return pa.chunked_array([pa.array(starts, INSTANT)])


def _assemble(
    ids: pa.ChunkedArray,
    ds: pa.ChunkedArray,
    written: pa.ChunkedArray,
    cells: Mapping[str, pa.ChunkedArray],
    panel: Panel,
) -> pa.Table:
    """Build the offered rows from ids, parsed times, the times as written, and the values as written."""
    decimal = panel.source.decimal
    numbers = {value: read_numbers(column, decimal) for value, column in cells.items()}
    unread = {
        "unique_id": (ids, pc.is_null(ids)),
        "ds": (written, pc.is_null(ds)),
        **{
            value: (column, pc.and_(pc.is_valid(column), pc.is_null(numbers[value])))
            for value, column in cells.items()
        },
    }
    absent = pa.nulls(len(ids), pa.float64())
    values = {value: numbers.get(value, absent) for value in VALUES}
    daily = panel.bars.freq == "1D"
    zoned = pa.nulls(len(ids), pa.bool_()) if daily else names_zone(written, panel.source.time_format)
    columns = {"unique_id": ids, "ds": ds, **values, "raw": _raw(unread), "zoned": zoned}
    return pa.table(columns, schema=OFFERED)


def _raw(unread: Mapping[str, tuple[pa.ChunkedArray, pa.ChunkedArray]]) -> pa.Array:
    """The unreadable parts of each row, as `close="1,234.5", ...`; null if everything was read.

    Args:
        unread: for each field its text, and a mask of the rows where it could not be read.
    """
    texts = [
        pc.if_else(where, pc.binary_join_element_wise(f', {field}="', _or_empty(written), '"', ""), "")
        for field, (written, where) in unread.items()
        if pc.any(where).as_py()
    ]
    if not texts:
        return pa.nulls(len(unread["unique_id"][1]), pa.string())
    joined = pc.utf8_slice_codeunits(pc.binary_join_element_wise(*texts, ""), start=len(", "))
    return pc.if_else(pc.equal(joined, ""), None, joined)


def _or_empty(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(column.cast(pa.string()), "")
