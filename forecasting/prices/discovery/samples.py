"""Samples: the first rows of a source, with the part of a panel that says how to read them."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pyarrow as pa

from forecasting.errors import SourceError
from forecasting.prices.discovery.columns import find_roles, is_adjusted, is_data, nothing_in, value_of
from forecasting.prices.sources.csv_tables import (
    detect_encoding,
    first_lines,
    refuse_other_files,
    refuse_other_text,
)
from forecasting.prices.sources.documents import Document
from forecasting.prices.sources.headers import DELIMITERS

_LINES = 400
_SHOWN_ROWS = 300
# The columns of candles without a header, in the usual order: time, then these.
_CANDLES = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Sample:
    """How a source is to be read.

    Attributes:
        source: keys of `[source]`, but for the URI.
        unsure: what was guessed, in sentences.
    """

    source: dict[str, Any]
    unsure: list[str] = field(default_factory=list)


def sample_csv(document: Document) -> Sample:
    """How a CSV is to be read: its header, layout and columns.

    Raises:
        SourceError: no line holds a time and a number, or nothing tells the columns apart.
    """
    refuse_other_files(document)
    encoding = detect_encoding(document)
    with document.opened() as stream, io.TextIOWrapper(stream, encoding, newline="") as text:
        lines = first_lines(text, _LINES, document.name)
    refuse_other_text(document.name, lines)
    delimiter, rows = _rows(lines, document.name)
    start = _first_data(rows, document.name)
    filled = [row for row in rows[:start] if any(row)]
    width = len(rows[start])
    found: dict[str, Any] = {} if delimiter == "," else {"delimiter": delimiter}
    data = [row for row in rows[start : start + _SHOWN_ROWS] if len(row) == width]
    if not filled:
        return _without_header(data, found)
    header = filled[-1]
    names = [name for name in header[1:] if name]
    if len(names) < len(set(range(1, len(header)))) // 2 or (
        len(set(names)) < len(names) and len(filled) > 1
    ):
        return _grid(filled, found, document.name)
    columns = {
        name: [row[at] for row in data if at < len(row)]
        for at, name in enumerate(header)
        if name or not at  # the first column may be an index without a name
    }
    if len(columns) < len([name for at, name in enumerate(header) if name or not at]):
        twice = next(name for name, count in Counter(header).items() if name and count > 1)
        raise SourceError(f"{document.name} has the column {twice!r} twice; name its columns apart")
    return from_columns(columns, found, document.name)


def from_columns(columns: Mapping[str, Sequence[str]], found: dict[str, Any], name: str) -> Sample:
    """How a table of these columns is to be read, wide or long.

    Raises:
        SourceError: no column holds times, or none numbers.
    """
    roles = find_roles(columns)
    if not roles.times:
        raise SourceError(f"{name}: no column holds dates or times (it has: {', '.join(columns)})")
    unsure: list[str] = []
    source = {**found, "time_column": roles.times[0] if len(roles.times) == 1 else list(roles.times)}
    nothing = set().union(*(nothing_in(columns[name]) for name in (*roles.values.values(), *roles.series)))
    if nothing:
        source["na_values"] = sorted(nothing)
    if "close" not in roles.values and not roles.ids and len(roles.series) > 1:
        return Sample({**source, "layout": "wide"}, unsure)
    values = dict(roles.values)
    if "close" not in values:
        if not roles.series:
            raise SourceError(f"{name}: no column holds prices (it has: {', '.join(columns)})")
        values["close"] = roles.series[0]
        if len(roles.series) > 1:
            unsure.append(f"the price: column {roles.series[0]!r} was taken, of {', '.join(roles.series)}")
    if roles.adjusted:
        unsure.append(
            f"the price: the adjusted column {values['close']!r} was taken, which has no jumps at splits and "
            f"dividends, and not {roles.adjusted!r}"
        )
    source |= {"id_column": roles.ids}
    if any(column.lower() != value for value, column in values.items()) or values["close"] != "close":
        source["columns"] = {value: values[value] for value in ("close", *_CANDLES) if value in values}
    if roles.is_end:
        source["stamp"] = "end"
    return Sample(source, unsure)


def text_columns(table: pa.Table) -> dict[str, list[str]]:
    """The first values of each column as text."""
    head = table.slice(0, _SHOWN_ROWS)
    return {
        name: ["" if value is None else str(value) for value in head[name].to_pylist()]
        for name in head.column_names
    }


def _rows(lines: Sequence[str], name: str) -> tuple[str, list[list[str]]]:
    """The delimiter that gives most lines the same number of values, and the values."""
    if not any(line.strip() for line in lines):
        raise SourceError(f"{name} is empty")
    best: tuple[int, str, list[list[str]]] = (0, ",", [])
    for delimiter in DELIMITERS:
        try:
            cleaned = (line.removeprefix("\ufeff") for line in lines)
            rows = [[cell.strip() for cell in row] for row in csv.reader(cleaned, delimiter=delimiter)]
        except csv.Error:
            continue
        counts = Counter(len(row) for row in rows if len(row) > 1)
        count = max(counts.values(), default=0)
        usable = sum(is_data(row) for row in rows[:50])
        if (usable and count) > 0 and usable * 1000 + count > best[0]:
            best = usable * 1000 + count, delimiter, rows
    if not best[2]:
        raise SourceError(
            f"{name}: no line holds a date or time and a number, apart by a comma, semicolon, tab or |; if "
            "it is a table of prices, export it as CSV"
        )
    return best[1], best[2]


def _first_data(rows: Sequence[Sequence[str]], name: str) -> int:
    """Where the rows begin: the first line of data that another one of as many values follows."""
    for at, row in enumerate(rows):
        following = next((one for one in rows[at + 1 :] if any(one)), row)
        if is_data(row) and is_data(following) and len(following) == len(row):
            return at
    raise SourceError(f"{name}: no two lines in turn hold a time and a number")


def _without_header(rows: Sequence[Sequence[str]], found: dict[str, Any]) -> Sample:
    """Names for the columns of a file that has none: a time, and candles in the usual order."""
    numbered = {f"column_{at}": [row[at] for row in rows] for at in range(1, len(rows[0]))}
    columns = {"time": [row[0] for row in rows], **numbered}
    roles = find_roles(columns)
    first = [name for name in columns if name not in roles.times and name != roles.ids]
    times = dict(zip(roles.times, ("time", "clock"), strict=False))
    values = chain(_CANDLES if len(first) >= len(_CANDLES) - 1 else ("close",), _endless())
    names = [times.get(name) or ("id" if name == roles.ids else next(values)) for name in columns]
    source = {**found, "column_names": names, "time_column": "time", "id_column": "id" if roles.ids else ""}
    if len(roles.times) > 1:
        source["time_column"] = ["time", "clock"]
    unsure = [f"the columns: the file names none, and they were taken as {', '.join(names[:7])}"]
    return Sample(source, unsure)


def _endless() -> Iterator[str]:
    at = 1
    while True:
        yield f"other_{at}"
        at += 1


def _grid(filled: Sequence[Sequence[str]], found: dict[str, Any], name: str) -> Sample:
    """How a table with a line of ids and one of values is to be read."""
    rows = [row for row in filled if any(row[1:])][-2:]
    values = max(rows, key=lambda row: sum(bool(value_of(cell)) for cell in row[1:])) if rows else []
    fields = list(dict.fromkeys(cell for cell in values[1:] if cell))
    known = {value_of(cell): cell for cell in reversed(fields) if value_of(cell)}
    adjusted = [cell for cell in fields if is_adjusted(cell)]
    if adjusted:
        known = {"close": adjusted[0]} | {key: cell for key, cell in known.items() if key == "volume"}
    if "close" not in known or len(rows) < 2:  # noqa: PLR2004 - one line of ids and one of values
        raise SourceError(
            f"{name}: its columns have no names of their own, nor a line of ids above one of values such "
            "as Close"
        )
    time_column = filled[-1][0] or "Date"
    columns = {value: known[value] for value in _CANDLES if value in known}
    return Sample(
        {**found, "layout": "grid", "time_column": time_column, "id_column": "", "columns": columns}, []
    )
