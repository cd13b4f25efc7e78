"""Documents: what lies in files wherever they are, as bytes; CSV or Parquet, packed with gzip or not."""

import codecs
import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import IO, cast

import charset_normalizer
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.sources.layouts import to_offered, unreadable_rows

# How much of a CSV is in memory at once: a line of 10,000 series is about 0.1 MB.
_BLOCK_BYTES = 1 << 25
_BATCH_ROWS = 1 << 20
_DAMAGE = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError)


@dataclass(frozen=True)
class Document:
    """One file's worth of bytes.

    Attributes:
        name: where it lies, as messages name it; its ending says what it is.
        open_bytes: opens its bytes, anew at each call.
    """

    name: str
    open_bytes: Callable[[], IO[bytes]]

    @property
    def stem(self) -> str:
        """Its name without folder and endings."""
        return PurePath(_unpacked(self.name)).stem

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Its bytes, unpacked.

        Raises:
            SourceError: they are damaged, or more of them are expected.
        """
        try:
            with self.open_bytes() as stream:
                if self.name.lower().endswith(".gz"):
                    with gzip.GzipFile(fileobj=stream) as unpacked:
                        yield cast("IO[bytes]", unpacked)
                else:
                    yield stream
        except _DAMAGE as error:
            raise SourceError(f"{self.name} is damaged or cut short ({error}); fetch it again") from error


def is_document(name: str) -> bool:
    """Whether a file of that name holds prices; hidden ones and what macOS adds to a zip do not."""
    hidden = any(part.startswith((".", "__")) for part in PurePath(name).parts)
    return not hidden and _unpacked(name).lower().endswith((".csv", ".parquet"))


def read_documents(documents: list[Document], panel: Panel) -> Iterator[pa.Table]:
    """What the documents offer, in their order: batches of `schema.OFFERED`.

    Where there are several, one that cannot be read does not stop the others: it becomes an unreadable row.

    Raises:
        SourceError: no document could be read.
    """
    failures: list[str] = []
    for document in documents:
        try:
            yield from _read(document, panel)
        except SourceError as error:
            failures.append(str(error))
    if len(failures) == len(documents):
        raise SourceError(failures[0])
    yield unreadable_rows(failures)


def _read(document: Document, panel: Panel) -> Iterator[pa.Table]:
    is_csv = _unpacked(document.name).lower().endswith(".csv")
    spoiled: list[str] = []  # lines that have not the columns of the header
    rows = 0
    for table in _read_csv(document, spoiled) if is_csv else _read_parquet(document):
        rows += table.num_rows
        yield to_offered(table, document.name, document.stem, panel)
    if not rows and spoiled:
        raise SourceError(f"{document.name}: no line has as many values as the header; correct the file")
    if not rows:
        raise SourceError(f"{document.name} has no rows; check [source].uri in the panel, or fetch it again")
    yield unreadable_rows(spoiled)


def _read_csv(document: Document, spoiled: list[str]) -> Iterator[pa.Table]:
    """The lines below the header, every value as text."""

    def skip(row: pa.csv.InvalidRow) -> str:
        spoiled.append(row.text)
        return "skip"

    encoding = _encoding(document)
    names = _header(document, encoding)
    with document.opened() as stream:
        try:
            yield from map(
                _as_table,
                pa.csv.open_csv(
                    stream,
                    pa.csv.ReadOptions(
                        block_size=_BLOCK_BYTES, skip_rows=1, column_names=names, encoding=encoding
                    ),
                    pa.csv.ParseOptions(invalid_row_handler=skip),
                    pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
                ),
            )
        except (pa.ArrowInvalid, UnicodeError) as error:
            raise SourceError(f"{document.name} cannot be read as CSV ({_one_line(error)})") from error


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
                        f"{document.name} is not text; check [source].uri in the panel"
                    ) from error
                return guess.encoding
    return "utf-8"


def _header(document: Document, encoding: str) -> list[str]:
    with document.opened() as stream, io.TextIOWrapper(stream, encoding, newline="") as text:
        names = next(csv.reader(text), [])
    if not names:
        raise SourceError(f"{document.name} is empty; check [source].uri in the panel, or fetch it again")
    return [name.strip("\ufeff \t") for name in names]


def _read_parquet(document: Document) -> Iterator[pa.Table]:
    with document.opened() as stream:
        try:
            yield from map(_as_table, pa.parquet.ParquetFile(stream).iter_batches(_BATCH_ROWS))
        except pa.ArrowInvalid as error:
            raise SourceError(
                f"{document.name} is not Parquet, or is cut short ({_one_line(error)}); fetch it again"
            ) from error


def _as_table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def _unpacked(name: str) -> str:
    return name[:-3] if name.lower().endswith(".gz") else name


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
