"""CSV: how a document is written (encoding, delimiter, decimal mark), found or stated, and its lines."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

import charset_normalizer
import pyarrow as pa
import pyarrow.csv

from forecasting.errors import SourceError
from forecasting.panel import Source
from forecasting.prices.sources.documents import Document

# How much of a CSV is in memory at once: a line of 10,000 series is about 0.1 MB.
_BLOCK_BYTES = 1 << 25
_SAMPLE_LINES = 100
_DELIMITERS = (",", ";", "\t", "|")
_WITH_POINT = re.compile(r"\s*[+-]?\d*\.\d+\s*")
# Three digits behind a comma may be thousands: they prove nothing.
_WITH_COMMA = re.compile(r"\s*[+-]?\d*,(\d{1,2}|\d{4,})\s*")


@dataclass(frozen=True)
class Dialect:
    """How a CSV is written."""

    encoding: str
    delimiter: str
    decimal: str
    names: list[str]


def find_dialect(document: Document, source: Source) -> Dialect:
    """What the panel states of the document, and for the rest what its first lines show.

    Raises:
        SourceError: it is empty, or not text in the encoding stated.
    """
    encoding = source.encoding or _encoding(document)
    try:
        with document.opened() as stream, io.TextIOWrapper(stream, encoding, newline="") as text:
            first = text.readline()
            delimiter = source.delimiter or max(_DELIMITERS, key=lambda one: len(_cells(first, one)))
            lines = csv.reader(chain([first], text), delimiter=delimiter)
            names = next(lines, [])
            sample = list(islice(lines, _SAMPLE_LINES))
    except UnicodeError as error:
        raise SourceError(
            f"{document.name} is not written in {encoding}; correct [source].encoding, or remove it"
        ) from error
    except csv.Error as error:
        raise SourceError(f"{document.name} cannot be read as CSV ({error}); check [source].uri") from error
    if not names:
        raise SourceError(f"{document.name} is empty; check [source].uri in the panel, or fetch it again")
    names = [name.strip("\ufeff \t") for name in names]
    return Dialect(encoding, delimiter, source.decimal or _decimal(sample), names)


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
    with document.opened() as stream:
        try:
            yield from pa.csv.open_csv(
                stream,
                pa.csv.ReadOptions(
                    block_size=_BLOCK_BYTES, skip_rows=1, column_names=names, encoding=dialect.encoding
                ),
                pa.csv.ParseOptions(delimiter=dialect.delimiter, invalid_row_handler=skip),
                pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
            )
        except (pa.ArrowInvalid, UnicodeError) as error:
            reason = " ".join(str(error).split())
            raise SourceError(
                f"{document.name} cannot be read as CSV ({reason}); correct the file, or check "
                "[source].encoding and delimiter in the panel"
            ) from error


def _encoding(document: Document) -> str:
    """UTF-8 where that decodes all of it; a guess only where it does not."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with document.opened() as stream:
        while block := stream.read(_BLOCK_BYTES):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                guess = charset_normalizer.from_bytes(block).best()
                if guess is None:
                    raise SourceError(
                        f"{document.name} is not text; check [source].uri in the panel, or set its encoding"
                    ) from error
                return guess.encoding
    return "utf-8"


def _decimal(sample: list[list[str]]) -> str:
    """A comma only where the lines prove it: some number must have one, and none has a point."""
    cells = [cell for line in sample for cell in line]
    point, comma = (any(map(mark.fullmatch, cells)) for mark in (_WITH_POINT, _WITH_COMMA))
    return "," if comma and not point else "."


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])
