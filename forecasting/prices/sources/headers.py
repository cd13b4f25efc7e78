"""Headers of CSV files: which line names the columns, and what may lie above it."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from forecasting.errors import SourceError
from forecasting.panel_settings import Source
from forecasting.prices.schema import VALUES

DELIMITERS = (",", ";", "\t", "|")
# Between the two parts of a grid's column names: the id and the value.
GRID_MARK = "\x1f"
_SHOWN = 60
# How far down a header may lie, below the banner of a download.
_MOST_ABOVE = 40
# What Excel takes for the delimiter, in a line of its own.
_STATED = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_NUMBER_OR_TIME = re.compile(r"[\s$\u20ac\u00a3]*[+-]?[\d.,:/ T+Z-]*\d[\d.,:/ T+Z-]*%?")


@dataclass(frozen=True)
class Header:
    """The header of a CSV.

    Attributes:
        names: of the columns; in a grid the id and the value, joined by `GRID_MARK`.
        above: number of lines above the rows: the header and the lines before it.
        delimiter: character between two values.
    """

    names: list[str]
    above: int
    delimiter: str


def find_header(lines: Sequence[str], source: Source, name: str) -> Header:
    """Find the line that names the columns: the first one with the panel's time column, else the first.

    Args:
        lines: the first lines of the file.
        source: what the panel says of it.
        name: of the file in messages.

    Raises:
        SourceError: the file has no header line, or not as many values as `column_names`.
    """
    first, stated = _first_line(lines)
    if first is None:
        raise SourceError(f"{name} is empty; check [source].uri in the panel, or fetch it again")
    wanted = source.delimiter or stated
    if source.column_names:
        return _named(lines, first, source, name, wanted)
    for at in range(first, min(len(lines), first + _MOST_ABOVE)):
        delimiter = wanted or best_delimiter(lines[at])
        cells, height = _cells(lines, at, delimiter)
        is_header = (
            cells[:1] == [source.time_columns[0]]
            if source.layout == "grid"
            else set(source.time_columns) <= set(cells)
        )
        if is_header:
            if source.layout == "grid":
                return Header(_grid_names(lines[first : at + 1], delimiter, source, name), at + 1, delimiter)
            _check_is_header(cells, name)
            return Header(cells, at + height, delimiter)
    delimiter = wanted or best_delimiter(lines[first])
    cells, height = _cells(lines, first, delimiter)
    _check_is_header(cells, name)
    return Header(cells, first + height, delimiter)


def best_delimiter(line: str) -> str:
    """The delimiter that gives a line most columns."""
    return max(DELIMITERS, key=lambda one: len(_cells([line], 0, one)[0]))


def looks_like_data(cells: Sequence[str]) -> bool:
    """Whether the values of a line are numbers and times, and none is a name."""
    filled = [cell for cell in cells if cell]
    return len(filled) > 1 and all(map(_NUMBER_OR_TIME.fullmatch, filled))


def _first_line(lines: Sequence[str]) -> tuple[int | None, str]:
    """The first line that holds anything, and the delimiter stated above it."""
    stated = ""
    for at, written in enumerate(lines):
        line = written.removeprefix("\ufeff")
        if match := _STATED.fullmatch(line):
            stated = match[1]
        elif line.strip('\r\n "' + "".join(DELIMITERS)):
            return at, stated
    return None, stated


def _cells(lines: Sequence[str], at: int, delimiter: str) -> tuple[list[str], int]:
    """The values of the record that begins at a line, and how many lines it has."""
    reader = csv.reader((line.removeprefix("\ufeff") for line in lines[at:]), delimiter=delimiter)
    cells = next(reader, [])
    return [cell.strip(" \t") for cell in cells], reader.line_num


def _named(lines: Sequence[str], first: int, source: Source, name: str, wanted: str) -> Header:
    names = list(source.column_names)
    delimiters = [wanted] if wanted else DELIMITERS
    found = {one: len(_cells(lines, first, one)[0]) for one in delimiters}
    delimiter = next((one for one, count in found.items() if count == len(names)), "")
    if not delimiter:
        count = max(found.values())
        raise SourceError(
            f"{name}: [source].column_names has {len(names)} names, and the first line has {count} values, "
            f"{lines[first].strip()[:_SHOWN]!r}; name each column, in the order of the file"
        )
    return Header(names, first, delimiter)


def _check_is_header(cells: Sequence[str], name: str) -> None:
    if looks_like_data(cells):
        shown = ", ".join(cells)[:_SHOWN]
        example = '["time", "open", "high", "low", "close"]'
        raise SourceError(
            f"{name} has no header line: its first line, {shown!r}, holds numbers and times, not names; set "
            f"[source].column_names in the panel to the names of its {len(cells)} columns, such as "
            f"{example}, and use those names in time_column and columns"
        )


def _grid_names(lines: Sequence[str], delimiter: str, source: Source, name: str) -> list[str]:
    """The id and value of each column, from the last two header lines that have values beyond the first."""
    rows = [
        row
        for row in (
            [
                cell.strip(" \t")
                for cell in next(csv.reader([line.removeprefix("\ufeff")], delimiter=delimiter), [])
            ]
            for line in lines
        )
        if any(row[1:])
    ][-2:]
    if len(rows) < 2:  # noqa: PLR2004 - one line of ids and one of values
        raise SourceError(
            f"{name}: a grid has two header lines, of ids and of values such as Close, above the line that "
            f"begins with {source.time_columns[0]!r}; set [source].layout in the panel"
        )
    known = {column.lower() for column in source.columns.values() if column} | set(VALUES)
    score = [sum(cell.lower() in known for cell in row) for row in rows]
    values, ids = (rows[1], rows[0]) if score[1] >= score[0] else (rows[0], rows[1])
    width = max(map(len, rows))
    values, ids = (_filled(row, width) for row in (values, ids))
    names = [f"{one}{GRID_MARK}{value}" for one, value in zip(ids, values, strict=True)]
    return [source.time_columns[0], *names[1:]]


def _filled(row: list[str], width: int) -> list[str]:
    """The cells of a line, an empty one like the one before it, as in a merged cell."""
    filled: list[str] = []
    for at in range(width):
        cell = row[at] if at < len(row) else ""
        filled.append(cell or (filled[-1] if at > 1 else ""))
    return filled
