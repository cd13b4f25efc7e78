"""Layouts: convert a table as it is in the source, wide, long or a grid, to offered rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import compress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.errors import SourceError, first_line
from forecasting.panel import Panel
from forecasting.panel_settings import Source
from forecasting.prices.schema import OFFERED, VALUES
from forecasting.prices.sources.cells import absent_as_null, is_text, read_text
from forecasting.prices.sources.headers import GRID_MARK
from forecasting.prices.sources.numbers import read_numbers
from forecasting.prices.sources.stamps import bar_starts
from forecasting.prices.sources.times import Times, read_times

# What a column is called whose prices are adjusted for dividends: the others of its row are not.
_ADJUSTED = "adj"
_IDS = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class Origin:
    """The file or query that a table comes from.

    Attributes:
        name: its name in messages.
        series: id of the series, if the panel says that each file is one series.
        folder_values: the values of `key=value` folders, for an id that no column holds.
        first: number of the first row in the file: a line of a CSV, or a row of Parquet.
        unit: what `first` counts.
    """

    name: str
    series: str = ""
    folder_values: Mapping[str, str] = field(default_factory=dict)
    first: int = 1
    unit: str = "row"


def to_offered(table: pa.Table, origin: Origin, panel: Panel) -> pa.Table:
    """The rows that one table offers, as `schema.OFFERED`.

    Args:
        table: the columns as they are in the source.
        origin: the file or query that the table comes from.
        panel: says which columns hold what, and which series are wanted.

    Raises:
        SourceError: a column that the panel names is missing or there twice, or has the wrong type.
    """
    read = {"wide": _from_wide, "long": _from_long, "grid": _from_grid}[panel.source.layout]
    try:
        return read(table, origin, panel)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise SourceError(
            f"{origin.name}: a column does not hold times or numbers as it should ({first_line(error)}); "
            "check the columns that [source] names in the panel"
        ) from error


def unreadable_rows(texts: list[str]) -> pa.Table:
    """Rows of which only the text is known, as `schema.OFFERED`."""
    nothing = {field.name: pa.nulls(len(texts), field.type) for field in OFFERED}
    return pa.table(nothing | {"raw": pa.array(texts, pa.string())}, schema=OFFERED)


def column_types(names: Sequence[str], panel: Panel, origin: Origin) -> dict[str, pa.DataType]:
    """The columns of a file that the panel needs, with the types that they should have; times as text.

    Raises:
        SourceError: a column that the panel names is missing or there twice.
    """
    source = panel.source
    times = dict.fromkeys(source.time_columns, pa.string())
    for name in source.time_columns:
        _place(names, name, origin.name, "set [source].time_column")
    if source.layout != "long":
        series = [name for name in names if name and name not in times]
        _check_distinct(series, panel, origin.name)
        return {**times, **dict.fromkeys(series, pa.float64())}
    ids = {source.id_column: _IDS} if _has_id_column(names, source, origin) else {}
    columns = _checked_value_columns(names, panel, origin.name)
    kinds = {**dict.fromkeys(columns.values(), pa.float64()), **ids, **times}
    return {name: kinds[name] for name in names if name in kinds}


def value_columns(names: Sequence[str], source: Source) -> dict[str, str]:
    """The column of each value: the one that the panel names, or else the one with the same name.

    Case is ignored if only one column matches. But if the panel reads a value from a column with a different
    name, a column called `High` may hold another kind of price and is not used; beside an adjusted close no
    price is, whatever its case. A value that the panel maps to "" is left out.
    """
    named = {str(value): column for value, column in source.columns.items()}
    others = [column for value, column in named.items() if column and column.lower() != value]
    matched = VALUES
    if any(_ADJUSTED in column.lower() for column in others):
        matched = ("volume",)
    elif others:
        return {value: value for value in VALUES if value in names} | named
    alike = {value: [name for name in names if name.lower() == value] for value in matched}
    found = {value: value for value in matched if value in names}
    return {value: some[0] for value, some in alike.items() if len(some) == 1} | found | named


def _from_wide(table: pa.Table, origin: Origin, panel: Panel) -> pa.Table:
    source, name = panel.source, origin.name
    if panel.forecast.target != "close":
        raise SourceError(
            f'{name}: a wide source holds only closes; set [forecast].target = "close" in the panel'
        )
    written = _time_columns(table, source, name)
    places = [at for at, column in enumerate(table.column_names) if column not in ("", *source.time_columns)]
    if not places:
        raise SourceError(
            f"{name} has no column but {', '.join(map(repr, source.time_columns))}; a wide source has one "
            "for each series: check [source].uri and [source].layout in the panel"
        )
    _check_distinct([table.column_names[at] for at in places], panel, name)
    ids = pa.chunked_array([[source.prefix + table.column_names[at] for at in places]], pa.string())
    wanted = _wanted(ids, source).to_pylist()
    ids, places = ids.filter(pa.array(wanted)), [*compress(places, wanted)]
    if not places:
        return OFFERED.empty_table()
    cells = _cells(_end_to_end([table.column(at) for at in places]), source)
    filled = np.flatnonzero(pc.is_valid(cells))
    series, row = np.divmod(filled, table.num_rows)
    rows = _Rows(
        ids=pa.chunked_array([pa.DictionaryArray.from_arrays(series.astype(np.int32), ids.combine_chunks())]),
        written=written,
        times=read_times(written, panel, name),
        cells={"close": cells.take(filled)},
    )
    return _assemble(rows, row, origin, panel)


def _from_grid(table: pa.Table, origin: Origin, panel: Panel) -> pa.Table:
    """The rows of a table whose columns are named by id and value."""
    source = panel.source
    pairs = [column.split(GRID_MARK) for column in table.column_names if GRID_MARK in column]
    times = [table.column(name) for name in source.time_columns]
    parts = []
    for series in dict.fromkeys(pair[0] for pair in pairs):
        values = [value for one, value in pairs if one == series]
        columns = [*times, *(table.column(f"{series}{GRID_MARK}{value}") for value in values)]
        one = pa.Table.from_arrays(columns, [*source.time_columns, *values])
        part = panel.model_copy(
            update={"source": source.model_copy(update={"layout": "long", "id_column": ""})}
        )
        own = Origin(origin.name, series, first=origin.first, unit=origin.unit)
        parts.append(_from_long(one, own, part))
    if not parts:
        raise SourceError(
            f"{origin.name} is not a grid, whose two header lines name ids and values; "
            "set [source].layout in the panel"
        )
    return pa.concat_tables(parts)


def _from_long(table: pa.Table, origin: Origin, panel: Panel) -> pa.Table:
    source, name = panel.source, origin.name
    written = _time_columns(table, source, name)
    if _has_id_column(table.column_names, source, origin):
        ids = _encoded(table.column(source.id_column))
    else:
        series = origin.folder_values.get(source.id_column, origin.series)
        index = pa.array(np.zeros(table.num_rows, dtype=np.int32))
        ids = pa.chunked_array([pa.DictionaryArray.from_arrays(index, [series])])
    columns = _checked_value_columns(table.column_names, panel, name)
    cells = {value: _cells(table.column(column), source) for value, column in columns.items()}
    ids = _prefixed(ids, source.prefix)
    rows = _Rows(ids, written, read_times(written, panel, name), cells)
    empty = [column.null_count == len(column) for column in cells.values()]
    if not any(column.null_count for column in cells.values()):
        offered = None
    elif all(empty):
        return OFFERED.empty_table()
    else:
        offered = ~np.logical_and.reduce([pc.is_null(column) for column in cells.values()])
    unwanted = _unwanted(ids, source)
    if unwanted is not None:
        offered = ~unwanted if offered is None else offered & ~unwanted
    keep = None if offered is None or offered.all() else np.flatnonzero(offered)
    return _assemble(rows.taken(keep), keep, origin, panel)


@dataclass(frozen=True)
class _Rows:
    """The columns of the rows that a table offers.

    Attributes:
        ids: dictionary-encoded.
        written: the times as they are written; in the order of the table, as `times` are.
        times: the times as read.
        cells: the values as written, or as numbers.
    """

    ids: pa.ChunkedArray
    written: list[pa.ChunkedArray]
    times: Times
    cells: dict[str, pa.ChunkedArray]

    def taken(self, rows: np.ndarray | None) -> "_Rows":
        """Ids and values of some rows; the times stay as they are."""
        if rows is None:
            return self
        at = pa.array(rows)
        cells = {value: column.take(at) for value, column in self.cells.items()}
        return _Rows(self.ids.take(at), self.written, self.times, cells)


def _assemble(rows: _Rows, at: np.ndarray | None, origin: Origin, panel: Panel) -> pa.Table:
    """Build the offered rows; row `at` of the table each, or all of them in order."""
    count, target = len(rows.ids), panel.forecast.target
    ds, zoned = rows.times.ds, rows.times.zoned
    if panel.bars.intraday and panel.source.stamp == "end":
        ds = bar_starts(ds, panel)
    if panel.bars.freq in ("1W", "1M"):
        stamps = ds.to_numpy().astype("datetime64[us]")
        ds = pa.chunked_array([pa.array(panel.calendar.bar_of_period(stamps, panel.bars.freq))]).cast(ds.type)
    if at is not None:
        ds, zoned = ds.take(pa.array(at)), zoned.take(pa.array(at))
    numbers = {value: _numbers(column, value, target, panel) for value, column in rows.cells.items()}
    unread: dict[str, tuple[list[pa.ChunkedArray], np.ndarray]] = {}
    dropped: dict[str, tuple[list[pa.ChunkedArray], np.ndarray]] = {}
    if rows.ids.null_count:
        unread["unique_id"] = ([rows.ids.cast(pa.string())], _mask(pc.is_null(rows.ids)))
    if ds.null_count:
        places = None if at is None else pa.array(at)
        written = [column if places is None else column.take(places) for column in rows.written]
        unread["ds"] = (written, _mask(pc.is_null(ds)))
    for value, column in rows.cells.items():
        if is_text(column.type) and numbers[value].null_count > column.null_count:
            lost = _mask(pc.and_(pc.is_valid(column), pc.is_null(numbers[value])))
            (unread if value == target else dropped)[value] = ([column], lost)
    absent = pa.nulls(count, pa.float64())
    raw = _texts(unread, count)
    columns = {
        "unique_id": rows.ids,
        "ds": ds,
        **{value: numbers.get(value, absent) for value in VALUES},
        "raw": raw,
        "zoned": zoned,
        "note": _note(rows.times.note, count),
        "remark": _remark(raw, _texts(dropped, count), at, origin),
    }
    return pa.table(columns, schema=OFFERED)


def _numbers(column: pa.ChunkedArray, value: str, target: str, panel: Panel) -> pa.ChunkedArray:
    """A column of values as numbers. NaN beside the target stands for no value, as frames write it."""
    numbers = read_numbers(column, panel.source.decimal)
    if value == target or not pc.any(pc.is_nan(numbers)).as_py():
        return numbers
    return pc.if_else(pc.is_nan(numbers), None, numbers)


def _note(note: str, count: int) -> pa.Array:
    kind = OFFERED.field("note").type
    if not note:
        return pa.nulls(count, kind)
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int8)), [note])


def _texts(unread: Mapping[str, tuple[list[pa.ChunkedArray], np.ndarray]], count: int) -> pa.Array:
    """What could not be read in each row, as `close="1,234.5", ...`; null if everything was read.

    Args:
        unread: for each field its texts, and a mask of the rows where it could not be read.
        count: number of rows.
    """
    if not unread:
        return pa.nulls(count, pa.string())
    at = np.flatnonzero(np.logical_or.reduce([mask for _, mask in unread.values()]))
    joined = np.full(len(at), "", dtype=object)
    for name, (columns, mask) in unread.items():
        texts = [
            pc.fill_null(column.take(pa.array(at)).cast(pa.string()), "").to_pylist() for column in columns
        ]
        written = [f'{name}="{" ".join(parts)}"' for parts in zip(*texts, strict=True)]
        for place in np.flatnonzero(mask[at]):
            joined[place] += f", {written[place]}" if joined[place] else written[place]
    return _scattered(joined.tolist(), at, count)


def _scattered(texts: Sequence[str], at: np.ndarray, count: int) -> pa.Array:
    """Texts in the rows `at`; null in the others."""
    index = np.zeros(count, dtype=np.int64)
    valid = np.zeros(count, dtype=bool)
    index[at], valid[at] = np.arange(len(at)), True
    return pa.array(list(texts), pa.string()).take(pa.array(index, mask=~valid))


def _remark(raw: pa.Array, dropped: pa.Array, at: np.ndarray | None, origin: Origin) -> pa.Array:
    """Where an unread row is, or what of a row was dropped and where; null in other rows."""
    if raw.null_count == len(raw) and dropped.null_count == len(dropped):
        return raw if raw.null_count == len(raw) else pa.nulls(len(raw), pa.string())
    rows = np.flatnonzero(_mask(pc.or_(pc.is_valid(raw), pc.is_valid(dropped))))
    numbers = origin.first + (rows if at is None else at[rows])
    lost = dropped.take(pa.array(rows)).to_pylist()
    texts = [
        f"{text or ''} in {origin.name}, {origin.unit} {number}".lstrip()
        for text, number in zip(lost, numbers, strict=True)
    ]
    return _scattered(texts, rows, len(raw))


def _mask(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    if isinstance(values, pa.ChunkedArray):
        mask: np.ndarray = values.to_numpy()
        return mask
    plain: np.ndarray = values.to_numpy(zero_copy_only=False)
    return plain


def _has_id_column(names: Sequence[str], source: Source, origin: Origin) -> bool:
    """Whether a column holds the ids: the panel names one, and no folder stands for it.

    Raises:
        SourceError: the column is missing, or there twice.
    """
    if not source.id_column:
        return False
    if source.id_column not in names and source.id_column in origin.folder_values:
        return False
    fix = 'set [source].id_column, or to "" where each file is one series and its name the id,'
    _place(names, source.id_column, origin.name, fix)
    return True


def _checked_value_columns(names: Sequence[str], panel: Panel, name: str) -> dict[str, str]:
    """`value_columns`, but for those left out; each is there, once."""
    columns = value_columns(names, panel.source)
    target = panel.forecast.target
    columns.setdefault(target, target)
    wanted = {value: column for value, column in columns.items() if column or value == target}
    for value, column in wanted.items():
        _place(names, column, name, f"map {value} in [source.columns]")
    return wanted


def _place(names: Sequence[str], column: str, name: str, fix: str) -> int:
    """The place of a column.

    Raises:
        SourceError: it is missing, or there twice.
    """
    if column not in names:
        has = ", ".join(dict.fromkeys(filter(None, (one.partition("\0")[0] for one in names))))
        raise SourceError(f"no column {column!r} in {name} (it has: {has}); {fix} in the panel")
    if sum(one.partition("\0")[0] == column for one in names) > 1:
        raise SourceError(
            f"{name} has the column {column!r} twice, and nothing tells which one is meant; name its columns "
            'apart, or set [source].layout = "grid" where a header line above names the series'
        )
    return list(names).index(column)


def _check_distinct(names: Sequence[str], panel: Panel, name: str) -> None:
    """Refuse a wide table in which two wanted columns have one name."""
    if panel.source.layout == "grid":
        return
    plain = [one.partition("\0")[0] for one in names]
    for one in dict.fromkeys(plain):
        prefixed = panel.source.prefix + one
        if plain.count(one) > 1 and _is_wanted(prefixed, panel.source):
            _place(plain, one, name, "")


def _time_columns(table: pa.Table, source: Source, name: str) -> list[pa.ChunkedArray]:
    return [
        table.column(_place(table.column_names, column, name, "set [source].time_column"))
        for column in source.time_columns
    ]


def _encoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of ids, each trimmed and in memory once."""
    kind = column.type
    if pa.types.is_dictionary(kind) and not is_text(kind):
        column = column.cast(kind.value_type)
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    chunk = column.combine_chunks()
    if isinstance(chunk, pa.ChunkedArray):
        chunk = chunk.unify_dictionaries().combine_chunks()
    names = read_text(chunk.dictionary.cast(pa.string()))
    if names.null_count or len(pc.unique(names)) < len(names):
        return pa.chunked_array([names.take(chunk.indices)]).dictionary_encode().cast(_IDS)
    return pa.chunked_array([pa.DictionaryArray.from_arrays(chunk.indices.cast(pa.int32()), names)])


def _prefixed(ids: pa.ChunkedArray, prefix: str) -> pa.ChunkedArray:
    if not prefix:
        return ids
    chunks = [
        pa.DictionaryArray.from_arrays(
            chunk.indices, pc.binary_join_element_wise(prefix, chunk.dictionary, "")
        )
        for chunk in ids.chunks
    ]
    return pa.chunked_array(chunks)


def _cells(column: pa.ChunkedArray, source: Source) -> pa.ChunkedArray:
    """A column of values, null where absent: as numbers if all of them are, else as text."""
    if not is_text(column.type):
        return column
    if not source.na_values and source.decimal == ".":
        try:
            return column.cast(pa.float64())
        except pa.ArrowInvalid:  # at least one text is empty or not a number
            pass
    return absent_as_null(column, source.na_values)


def _is_wanted(unique_id: str, source: Source) -> bool:
    return not (
        (source.include and not _is_like(unique_id, source.include)) or _is_like(unique_id, source.exclude)
    )


def _wanted(ids: pa.ChunkedArray, source: Source) -> pa.ChunkedArray:
    """Whether each id is in the panel's lists. A null id is, so that the audit refuses its row."""
    unwanted = [one for one in pc.unique(ids).drop_null().to_pylist() if not _is_wanted(one, source)]
    return pc.invert(pc.is_in(ids, value_set=pa.array(unwanted, pa.string())))


def _unwanted(ids: pa.ChunkedArray, source: Source) -> np.ndarray | None:
    """(N,) whether each of the encoded ids is not in the panel's lists; None where the panel has no lists."""
    if not (source.include or source.exclude):
        return None
    return ~_mask(_wanted(ids.cast(pa.string()), source))


def _is_like(unique_id: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(unique_id, pattern) for pattern in patterns)


def _end_to_end(columns: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    kinds = {column.type for column in columns}
    if len(kinds) > 1:
        as_text = any(map(is_text, kinds))
        columns = [column.cast(pa.string() if as_text else pa.float64()) for column in columns]
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks])
