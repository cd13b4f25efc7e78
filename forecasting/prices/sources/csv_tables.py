"""CSV: detect the dialect of a document (encoding, delimiter, decimal mark) and read its lines."""

import codecs
import csv
import io
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

import charset_normalizer
import pyarrow as pa
import pyarrow.csv

from forecasting.errors import SourceError, one_line
from forecasting.panel import Source
from forecasting.prices.sources.documents import Document

# Bytes of a CSV in memory at once: a line of 10,000 series is about 0.1 MB.
_BLOCK_BYTES = 1 << 25
_SAMPLE_LINES = 100
_SHOWN = 60
_SAMPLE_BYTES = 1 << 16
_DELIMITERS = (",", ";", "\t", "|")
_WITH_POINT = re.compile(r"\s*[+-]?\d*\.\d+\s*")
# Three digits after a comma may be thousands, so they do not prove a decimal comma.
_WITH_COMMA = re.compile(r"\s*[+-]?\d*,(\d{1,2}|\d{4,})\s*")
# The common encoding of Western Europe on Windows; a superset of Latin-1 except for control characters.
_WESTERN = "cp1252"
# Other encodings of CSV files. Those of old Macs and DOS are left out: they would only be wrong guesses.
_GUESSED = ["cp1251", "cp1253", "cp1250", "cp1254", "cp1255", "cp1256"]
_GUESSED += ["cp932", "euc_jp", "gb18030", "big5", "cp949"]
_NOT_ASCII = re.compile(rb"[\x80-\xff]+")
# The line with which Excel states the delimiter.
_STATED = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
# `<TICKER>,<CLOSE>` is a header.
_NOT_CSV = {
    "a web page": re.compile(r"\s*<(!|\?xml|html|head|body)", re.IGNORECASE),
    "JSON": re.compile(r"\s*(\{|\[\s*(\{|$))"),
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dialect:
    """How a CSV is written.

    Attributes:
        encoding: name of the encoding in `codecs`.
        delimiter: character between two values.
        decimal: decimal mark of numbers.
        names: names of the columns.
        above: number of lines above the rows: the header and the lines before it.
    """

    encoding: str
    delimiter: str
    decimal: str
    names: list[str]
    above: int


def find_dialect(document: Document, source: Source) -> Dialect:
    """The dialect of a document: what the panel states, and otherwise what its first lines show.

    Raises:
        SourceError: the document has no rows, is not CSV, or is not text in the stated encoding.
    """
    encoding = source.encoding or _encoding(document)
    try:
        with document.opened() as stream, io.TextIOWrapper(stream, encoding, newline="") as text:
            before, first, stated = _header(text)
            delimiter = (
                source.delimiter or stated or max(_DELIMITERS, key=lambda one: len(_cells(first, one)))
            )
            lines = csv.reader(chain([first], text), delimiter=delimiter)
            names = next(lines)
            above = before + lines.line_num
            sample = list(islice(lines, _SAMPLE_LINES))
    except UnicodeError as error:
        raise SourceError(
            f"{document.name} is not encoded in {encoding}; correct [source].encoding, or remove it"
        ) from error
    except csv.Error as error:
        raise SourceError(f"{document.name} cannot be read as CSV ({error}); check [source].uri") from error
    _check_is_csv(document.name, first, has_rows=any(sample))
    names = [name.strip(" \t") for name in names]
    return Dialect(encoding, delimiter, source.decimal or _decimal(sample), names, above)


def read_csv(document: Document, dialect: Dialect, spoiled: list[str]) -> Iterator[pa.RecordBatch]:
    """Read the lines below the header, every value as text.

    Args:
        document: the document to read.
        dialect: how it is written.
        spoiled: receives the lines that do not have as many values as the header.

    Raises:
        SourceError: the document cannot be read in this dialect.
    """

    def skip(row: pa.csv.InvalidRow) -> str:
        spoiled.append(row.text)
        return "skip"

    names = dialect.names
    rows = 0
    with document.opened() as stream:
        try:
            for batch in pa.csv.open_csv(
                stream,
                pa.csv.ReadOptions(
                    block_size=_BLOCK_BYTES,
                    skip_rows=dialect.above,
                    column_names=names,
                    encoding=dialect.encoding,
                ),
                pa.csv.ParseOptions(delimiter=dialect.delimiter, invalid_row_handler=skip),
                pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
            ):
                rows += batch.num_rows
                yield batch
        except (pa.ArrowInvalid, UnicodeError) as error:
            reason = one_line(error)
            raise SourceError(
                f"{document.name} cannot be read as CSV ({reason}); correct the file, or check "
                "[source].encoding and delimiter in the panel"
            ) from error
    if spoiled and not rows:
        header = dialect.delimiter.join(names)
        raise SourceError(
            f"{document.name}: no line has as many values as the header, {header[:_SHOWN]!r}; "
            "correct the file, or set [source].delimiter in the panel"
        )


def _header(text: io.TextIOWrapper) -> tuple[int, str, str]:
    """Number of empty lines before the header, the header line, and the delimiter stated above it."""
    stated = ""
    for before, written in enumerate(text):
        line = written.removeprefix("\ufeff")
        if match := _STATED.fullmatch(line):
            stated = match[1]
        elif line.strip('\r\n "' + "".join(_DELIMITERS)):
            return before, line, stated
    return 0, "", stated


def _check_is_csv(name: str, first: str, *, has_rows: bool) -> None:
    if not first:
        raise SourceError(f"{name} is empty; check [source].uri in the panel, or fetch it again")
    for kind, start in _NOT_CSV.items():
        if start.match(first):
            raise SourceError(
                f"{name} is {kind}, not CSV or Parquet; open it in a browser to see why, "
                "then correct [source].uri in the panel"
            )
    if not has_rows:
        raise SourceError(
            f"{name} has no rows, only the line {first.strip()[:_SHOWN]!r}; "
            "check [source].uri in the panel, or fetch it again"
        )


def _encoding(document: Document) -> str:
    """UTF-16 if the document starts like it, UTF-8 if it decodes completely, else a guess with a warning."""
    with document.opened() as stream:
        first, second = stream.read(1), stream.read(1)
    if first + second in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    if b"\0" in (first, second) and (first + second).strip(b"\0").isalnum():
        return "utf-16-le" if second == b"\0" else "utf-16-be"
    decoder = codecs.getincrementaldecoder("utf-8")()
    with document.opened() as stream:
        while block := stream.read(_BLOCK_BYTES):
            try:
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


def _decimal(sample: list[list[str]]) -> str:
    """A comma only if the lines prove it: some number has a decimal comma and none has a point."""
    cells = [cell for line in sample for cell in line]
    point, comma = (any(map(mark.fullmatch, cells)) for mark in (_WITH_POINT, _WITH_COMMA))
    return "," if comma and not point else "."


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])
