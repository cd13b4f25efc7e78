"""CSV: detect the dialect of a document (encoding, delimiter, decimal mark) and read its lines, typed."""

import codecs
import csv
import io
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TextIO, cast

import charset_normalizer
import pyarrow as pa
import pyarrow.csv

from forecasting.errors import SourceError, UnclearDecimalError, one_line
from forecasting.panel_settings import Source
from forecasting.prices.sources.documents import Document
from forecasting.prices.sources.headers import find_header
from forecasting.prices.sources.layouts import value_columns
from forecasting.prices.sources.numbers import decimal_mark, may_be_thousands

# Bytes of a CSV in memory at once: a line of 10,000 series is about 0.1 MB.
_BLOCK_BYTES = 1 << 25
# Bytes that are checked for UTF-8 at once: few enough to stay in the processor's cache.
_CHECK_BYTES = 1 << 19
_SAMPLE_LINES = 100
# Characters of a line: 10,000 series take about 0.1 million.
_LONGEST_LINE = 30_000_000
# Lines of another length than the header's that are kept, for the quarantine. A file with more is no table.
_MOST_SPOILED = 1_000_000
_SHOWN = 60
_SAMPLE_BYTES = 1 << 16
# The common encoding of Western Europe on Windows; a superset of Latin-1 except for control characters.
_WESTERN = "cp1252"
# Other encodings of CSV files. Those of old Macs and DOS are left out: they would only be wrong guesses.
_GUESSED = ["cp1251", "cp1253", "cp1250", "cp1254", "cp1255", "cp1256"]
_GUESSED += ["cp932", "euc_jp", "gb18030", "big5", "cp949"]
_NOT_ASCII = re.compile(rb"[\x80-\xff]+")
# `<TICKER>,<CLOSE>` is a header.
_NOT_CSV = {
    "a web page": re.compile(r"\s*<(!|\?xml|html|head|body|table)", re.IGNORECASE),
    "JSON": re.compile(r"\s*(\{|\[\s*(\{|$))"),
}
# How other files begin that are saved under the name of a CSV, and what to do with them.
_OTHER_FILES = {
    b"PK\x03\x04": "an Excel workbook or a zip; save it as CSV, or name it .zip",
    b"\xd0\xcf\x11\xe0": "an Excel workbook; save it as CSV",
    b"PAR1": "a Parquet file; name it .parquet",
    b"%PDF": "a PDF; export the prices as CSV",
    b"\x1f\x8b": "packed by gzip; name it .csv.gz",
    b"SQLite format 3": "an SQLite database; read it by [source].query",
}
_CURRENCY_AND_SUFFIX = " \t$\u20ac\u00a3\u00a5%kKmMbB"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dialect:
    """How a CSV is written.

    Attributes:
        encoding: name of the encoding in `codecs`.
        delimiter: character between two values.
        decimal: decimal mark of numbers; empty where they prove none, and a point is taken.
        names: names of the columns.
        above: number of lines above the rows: the header and the lines before it.
        sample: the values of the first rows.
    """

    encoding: str
    delimiter: str
    decimal: str
    names: list[str]
    above: int
    sample: list[list[str]]


def find_dialect(document: Document, source: Source) -> Dialect:
    """The dialect of a document: what the panel states, and otherwise what its first lines show.

    Raises:
        SourceError: the document has no rows, is not CSV, or is not text in the stated encoding; or its
            decimal mark cannot be told.
    """
    refuse_other_files(document)
    encoding = source.encoding or detect_encoding(document)
    try:
        with document.opened() as stream, io.TextIOWrapper(stream, encoding, newline="") as text:
            lines = first_lines(text, _SAMPLE_LINES, document.name)
        refuse_other_text(document.name, lines)
        header = find_header(lines, source, document.name)
        sample = [row for row in csv.reader(lines[header.above :], delimiter=header.delimiter) if any(row)]
    except UnicodeError as error:
        raise SourceError(
            f"{document.name} is not encoded in {encoding}; correct [source].encoding, or remove it"
        ) from error
    except csv.Error as error:
        raise SourceError(f"{document.name} cannot be read as CSV ({error}); check [source].uri") from error
    if not sample:
        shown = next((line.strip() for line in lines if line.strip()), "")[:_SHOWN]
        raise SourceError(
            f"{document.name} has no rows, only the line {shown!r}; "
            "check [source].uri in the panel, or fetch it again"
        )
    decimal = source.decimal or _decimal(document.name, header.names, sample, source, header.delimiter)
    return Dialect(encoding, header.delimiter, decimal, header.names, header.above, sample)


def read_csv(
    document: Document, dialect: Dialect, types: Mapping[str, pa.DataType], spoiled: list[str]
) -> Iterator[pa.Table]:
    """Read the lines below the header in blocks.

    A column whose values are not all of its type becomes text from that block on.

    Args:
        document: the document to read.
        dialect: how it is written.
        types: the columns to read, with the types that they seem to have.
        spoiled: receives the lines that do not have as many values as the header.

    Raises:
        SourceError: the document cannot be read in this dialect.
    """
    reader = _BlockReader(dialect, dict(types), spoiled)
    rows = 0
    with document.opened() as stream:
        try:
            for block in _blocks(stream, dialect):
                table = reader.read(block)
                rows += table.num_rows
                yield table
        except (pa.ArrowInvalid, UnicodeError) as error:
            reason = one_line(error)
            raise SourceError(
                f"{document.name} cannot be read as CSV ({reason}); correct the file, or check "
                "[source].encoding and delimiter in the panel"
            ) from error
    if spoiled and not rows:
        header = dialect.delimiter.join(dialect.names)
        raise SourceError(
            f"{document.name}: no line has as many values as the header, {header[:_SHOWN]!r}; "
            "correct the file, or set [source].delimiter in the panel"
        )


class _BlockReader:
    """Reads blocks of lines, typed as long as their values are."""

    def __init__(self, dialect: Dialect, types: dict[str, pa.DataType], spoiled: list[str]) -> None:
        self._dialect = dialect
        self._types = types
        self._spoiled = spoiled

    def read(self, block: pa.Buffer) -> pa.Table:
        """The rows of a block.

        Raises:
            pyarrow.ArrowInvalid: it is not CSV.
        """
        lost = len(self._spoiled)
        try:
            return self._parsed(block, self._types)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # at least one value is of another type
            del self._spoiled[lost:]
        text = self._parsed(block, dict.fromkeys(self._types, pa.string()))
        for name, kind in self._types.items():
            try:
                text[name].cast(kind)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                self._types[name] = pa.string()
        return text

    def _parsed(self, block: pa.Buffer, types: Mapping[str, pa.DataType]) -> pa.Table:
        dialect = self._dialect

        def skip(row: pa.csv.InvalidRow) -> str:
            self._spoiled.append(row.text)
            return "skip" if len(self._spoiled) <= _MOST_SPOILED else "error"

        return pa.csv.read_csv(
            pa.BufferReader(block),
            pa.csv.ReadOptions(column_names=_distinct(dialect.names)),
            pa.csv.ParseOptions(delimiter=dialect.delimiter, invalid_row_handler=skip),
            pa.csv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=[""],
                strings_can_be_null=True,
                decimal_point=dialect.decimal or ".",
                timestamp_parsers=[pa.csv.ISO8601],
            ),
        )


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, each but the first of several alike with its place, so that none stands for two columns."""
    seen: set[str] = set()
    distinct = []
    for at, name in enumerate(names):
        distinct.append(f"{name}\0{at}" if name in seen else name)
        seen.add(name)
    return distinct


def _blocks(stream: IO[bytes], dialect: Dialect) -> Iterator[pa.Buffer]:
    """The lines below the header in blocks of whole lines, as UTF-8.

    A block is overwritten by the next one: one buffer serves for all.
    """
    read_into = _reader(stream, dialect.encoding)
    buffer, filled, above, is_first = bytearray(_BLOCK_BYTES), 0, dialect.above, True
    while True:
        if filled == len(buffer):  # a line longer than a block
            buffer = buffer + bytearray(len(buffer))
        with memoryview(buffer) as view:
            count = read_into(view[filled:])
        filled += count
        start = 0
        if is_first and filled >= len(codecs.BOM_UTF8):
            start, is_first = len(codecs.BOM_UTF8) * buffer.startswith(codecs.BOM_UTF8), False
        while above and (end := _line_end(buffer, start, filled)) > 0:
            start, above = end, above - 1
        cut = filled if not count else _last_line(buffer, start, filled)
        if cut > start and not above:
            with memoryview(buffer) as view:
                yield pa.py_buffer(view[start:cut])
            start = cut
        if not count:
            return
        buffer[: filled - start] = buffer[start:filled]
        filled -= start


def _last_line(buffer: bytearray, start: int, end: int) -> int:
    """Where the last line of a part of a buffer begins, which may go on."""
    return max(buffer.rfind(b"\n", start, end), buffer.rfind(b"\r", start, end)) + 1


def _line_end(buffer: bytearray, start: int, end: int) -> int:
    """Where the line after the first begins; -1 where the first has no end yet."""
    newline, carriage = buffer.find(b"\n", start, end), buffer.find(b"\r", start, end)
    if carriage >= 0 and (newline < 0 or carriage < newline - 1):
        return carriage + 1 if carriage + 1 < end else -1
    return newline + 1 if newline >= 0 else -1


def _reader(stream: IO[bytes], encoding: str) -> Callable[[memoryview], int]:
    """A function that reads the next bytes into a buffer, as UTF-8, and returns how many."""
    if codecs.lookup(encoding).name in ("utf-8", "ascii"):
        return cast("io.BufferedIOBase", stream).readinto
    decoder = codecs.getincrementaldecoder(encoding)()
    pending = b""

    def read_into(view: memoryview) -> int:
        nonlocal pending
        while not pending:
            block = stream.read(_BLOCK_BYTES)
            pending = decoder.decode(block, final=not block).encode()
            if not block:
                break
        count = min(len(view), len(pending))
        view[:count], pending = pending[:count], pending[count:]
        return count

    return read_into


def refuse_other_files(document: Document) -> None:
    """Refuse a file of another kind under the name of a CSV.

    Raises:
        SourceError: it begins as such a file does.
    """
    with document.opened() as stream:
        start = stream.read(16)
    for magic, kind in _OTHER_FILES.items():
        if start.startswith(magic):
            raise SourceError(f"{document.name} is {kind}; check [source].uri in the panel")


def first_lines(text: TextIO, count: int, name: str) -> list[str]:
    """The first lines of a text: at most so many, and fewer if they are very long.

    Raises:
        SourceError: one is too long for a line of prices.
    """
    lines: list[str] = []
    while len(lines) < count and sum(map(len, lines)) < _LONGEST_LINE:
        line = text.readline(_LONGEST_LINE)
        if len(line) == _LONGEST_LINE:
            raise SourceError(
                f"{name} has a line of more than {_LONGEST_LINE:,} characters, so it is no table of prices; "
                "check [source].uri in the panel"
            )
        if not line:
            break
        lines.append(line)
    return lines


def refuse_other_text(name: str, lines: Sequence[str]) -> None:
    """Refuse text that is no table.

    Raises:
        SourceError: it is HTML or JSON.
    """
    first = next((line.removeprefix("\ufeff") for line in lines if line.strip("\ufeff \r\n")), "")
    for kind, start in _NOT_CSV.items():
        if start.match(first):
            raise SourceError(
                f"{name} is {kind}, not CSV or Parquet; open it in a browser to see why, "
                "then correct [source].uri in the panel"
            )


def _decimal(name: str, names: Sequence[str], sample: list[list[str]], source: Source, delimiter: str) -> str:
    """The decimal mark that the first rows prove; empty where they prove none.

    Raises:
        UnclearDecimalError: the prices have both marks, or a point that may separate thousands.
    """
    mark = decimal_mark([_bare(cell) for row in sample for cell in row])
    if mark not in ("?", ""):
        return mark
    columns = set(value_columns(list(names), source).values()) if source.layout == "long" else set(names)
    places = [at for at, column in enumerate(names) if column in columns - {"", *source.time_columns}]
    cells = [_bare(row[at]) for row in sample for at in places if at < len(row)]
    if mark == "?":
        mark = decimal_mark(cells)
    if mark == "?":
        point, comma = (next(cell for cell in cells if decimal_mark([cell]) == one) for one in ".,")
        raise UnclearDecimalError(
            f"{name}: its numbers have both a decimal point ({point}) and a decimal comma ({comma}); write "
            'them alike, or set [source].decimal = "." or "," to refuse the others'
        )
    # A file with semicolons comes from where the comma is the decimal mark, and the point may separate
    # thousands.
    if not mark and delimiter == ";" and may_be_thousands(cells):
        shown = next(cell for cell in cells if "." in cell)
        raise UnclearDecimalError(
            f"{name}: {shown} may be {shown.replace('.', '')}, with a point between thousands, or a number "
            'with three decimals; set [source].decimal = "," for thousands, or "." for decimals'
        )
    return mark


def _bare(cell: str) -> str:
    return cell.strip(_CURRENCY_AND_SUFFIX)


def detect_encoding(document: Document) -> str:
    """UTF-16 if the document starts like it, UTF-8 if it decodes completely, else a guess with a warning."""
    with document.opened() as stream:
        first, second = stream.read(1), stream.read(1)
    if first + second in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    if b"\0" in (first, second) and (first + second).strip(b"\0").isalnum():
        return "utf-16-le" if second == b"\0" else "utf-16-be"
    decoder = codecs.getincrementaldecoder("utf-8")()
    with document.opened() as stream:
        while block := stream.read(min(_BLOCK_BYTES, _CHECK_BYTES)):
            try:
                if decoder.getstate()[0] or not block.isascii():
                    decoder.decode(block)
            except UnicodeDecodeError as error:
                guess = _guess(document)
                if guess is None:
                    raise SourceError(
                        f"{document.name} is not text, or has an unknown encoding; "
                        "check [source].uri in the panel, or set [source].encoding"
                    ) from error
                return guess
    return "utf-8"


def _guess(document: Document) -> str | None:
    """Guess the encoding of a document that is not UTF-8 from its non-ASCII lines."""
    lines, is_western = b"", True
    with document.opened() as stream:
        while block := stream.readlines(_BLOCK_BYTES):
            marked = b"".join(line for line in block if not line.isascii())
            lines = (lines + marked)[:_SAMPLE_BYTES]
            is_western = is_western and _decodes(marked, _WESTERN)
    # Statistics mistake short names such as São Paulo for Chinese. Accented Latin letters are isolated bytes;
    # letters of another script come in runs.
    runs = [len(run) for run in _NOT_ASCII.findall(lines)]
    if is_western and 2 * runs.count(1) > len(runs):
        guess: str | None = _WESTERN
    else:
        best = charset_normalizer.from_bytes(lines, cp_isolation=_GUESSED).best()
        guess = best.encoding if best else None
    if guess:
        _log.warning(
            "%s is not UTF-8 and was read as %s, which is a guess; set [source].encoding to be sure",
            document.name,
            guess,
        )
    return guess


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
