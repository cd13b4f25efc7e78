"""CSV: how a document is written (encoding, delimiter, decimal mark), found or stated, and its lines."""

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

# How much of a CSV is in memory at once: a line of 10,000 series is about 0.1 MB.
_BLOCK_BYTES = 1 << 25
_SAMPLE_LINES = 100
_SHOWN = 60
_SAMPLE_BYTES = 1 << 16
_DELIMITERS = (",", ";", "\t", "|")
_WITH_POINT = re.compile(r"\s*[+-]?\d*\.\d+\s*")
# Three digits behind a comma may be thousands: they prove nothing.
_WITH_COMMA = re.compile(r"\s*[+-]?\d*,(\d{1,2}|\d{4,})\s*")
# The usual one of Western Europe on Windows, and but for controls a superset of Latin-1.
_WESTERN = "cp1252"
# Others that CSVs come in; those of old Macs and of DOS would only ever be guessed by mistake.
_GUESSED = ["cp1251", "cp1253", "cp1250", "cp1254", "cp1255", "cp1256"]
_GUESSED += ["cp932", "euc_jp", "gb18030", "big5", "cp949"]
_NOT_ASCII = re.compile(rb"[\x80-\xff]+")
# What Excel takes for the delimiter, in a line of its own.
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
        encoding: as `codecs` names it.
        delimiter: between two values.
        decimal: the mark in numbers.
        names: of the columns.
        above: how many lines lie above the rows: the header, and what is before it.
    """

    encoding: str
    delimiter: str
    decimal: str
    names: list[str]
    above: int


def find_dialect(document: Document, source: Source) -> Dialect:
    """What the panel states of the document, and for the rest what its first lines show.

    Raises:
        SourceError: it has no rows, is something else than CSV, or not text in the encoding stated.
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
            f"{document.name} is not written in {encoding}; correct [source].encoding, or remove it"
        ) from error
    except csv.Error as error:
        raise SourceError(f"{document.name} cannot be read as CSV ({error}); check [source].uri") from error
    _check_is_csv(document.name, first, has_rows=any(sample))
    names = [name.strip(" \t") for name in names]
    return Dialect(encoding, delimiter, source.decimal or _decimal(sample), names, above)


def read_csv(document: Document, dialect: Dialect, spoiled: list[str]) -> Iterator[pa.RecordBatch]:
    """The lines below the header, every value as text.

    Args:
        document: what to read.
        dialect: how it is written.
        spoiled: gets the lines that have not as many values as the header.

    Raises:
        SourceError: it cannot be read so.
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
    """How many lines come before the first that holds anything, that one, and the delimiter stated."""
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
    """UTF-16 where it begins so, UTF-8 where that decodes all of it; else a guess, and said."""
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
                        f"{document.name} is not text, or in a rare encoding; "
                        "check [source].uri in the panel, or set [source].encoding"
                    ) from error
                return guess
    return "utf-8"


def _guess(document: Document) -> str | None:
    """The encoding of a document that is not UTF-8, from those of its lines that are not ASCII."""
    lines, is_western = b"", True
    with document.opened() as stream:
        while block := stream.readlines(_BLOCK_BYTES):
            marked = b"".join(line for line in block if not line.isascii())
            lines = (lines + marked)[:_SAMPLE_BYTES]
            is_western = is_western and _decodes(marked, _WESTERN)
    # Statistics take short names such as São Paulo for Chinese. Accented letters stand alone among others,
    # letters of another script beside each other.
    runs = [len(run) for run in _NOT_ASCII.findall(lines)]
    if is_western and 2 * runs.count(1) > len(runs):
        guess: str | None = _WESTERN
    else:
        best = charset_normalizer.from_bytes(lines, cp_isolation=_GUESSED).best()
        guess = best.encoding if best else None
    if guess:
        _log.warning(
            "%s is not UTF-8, and was read as %s, which may be wrong; state [source].encoding",
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
    """A comma only where the lines prove it: some number must have one, and none has a point."""
    cells = [cell for line in sample for cell in line]
    point, comma = (any(map(mark.fullmatch, cells)) for mark in (_WITH_POINT, _WITH_COMMA))
    return "," if comma and not point else "."


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])
