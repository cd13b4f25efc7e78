"""Reading: convert files, local or downloaded, to the rows that they offer."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.parquet

from forecasting.errors import SourceError, one_line
from forecasting.panel import Panel
from forecasting.prices.sources.csv_tables import find_dialect, read_csv
from forecasting.prices.sources.documents import Document, File, documents_in
from forecasting.prices.sources.layouts import Origin, to_offered, unreadable_rows
from forecasting.prices.sources.uris import shown

_BATCH_ROWS = 1 << 20


def read_files(files: Iterable[File], panel: Panel, *, may_be_empty: bool = False) -> Iterator[pa.Table]:
    """Read the files in their order, in batches of `schema.OFFERED`.

    If there are several documents, one that cannot be read becomes an unreadable row and does not stop the
    others. A file that cannot be downloaded stops the read, because a later try may succeed.

    Args:
        files: the files to read.
        panel: how to read them.
        may_be_empty: whether it is acceptable that they hold no wanted series.

    Raises:
        SourceError: a file could not be downloaded, no document could be read, or none has a wanted series.
    """
    failures: list[str] = []
    read = rows = 0
    for file in files:
        with file.local() as path:
            try:
                documents = documents_in(path, file.name)
            except SourceError as error:
                failures.append(str(error))
                continue
            for document in documents:
                try:
                    for batch in _read(document, panel):
                        rows += batch.num_rows
                        yield batch
                    read += 1
                except SourceError as error:
                    failures.append(str(error))
    if failures and not read:
        raise SourceError(failures[0])
    if not (rows or failures or may_be_empty) and (panel.source.include or panel.source.exclude):
        raise SourceError(
            f"no series at {shown(panel.source.uri)} is in [source].include and not in exclude; "
            "correct these lists in the panel"
        )
    yield unreadable_rows(failures)


def _read(document: Document, panel: Panel) -> Iterator[pa.Table]:
    spoiled: list[str] = []  # lines whose number of values differs from the header's
    origin = Origin(document.name, _id_in(document, panel.source.id_in_file_name))
    if document.is_csv:
        dialect = find_dialect(document, panel.source)
        found = panel.source.model_copy(update={"decimal": dialect.decimal})
        panel = panel.model_copy(update={"source": found})
        batches = read_csv(document, dialect, spoiled)
    else:
        batches = _read_parquet(document)
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        yield to_offered(pa.Table.from_batches([batch]), origin, panel)
    if not rows:
        raise SourceError(f"{document.name} has no rows; check [source].uri in the panel, or fetch it again")
    # Lines of several files may be equal and have no id, so each one names its file.
    yield unreadable_rows([f"{document.name}: {line}" for line in spoiled])


def _id_in(document: Document, pattern: str) -> str:
    before, _, after = pattern.partition("*")
    series = document.stem.removeprefix(before).removesuffix(after)
    if not series or len(series) != len(document.stem) - len(before) - len(after):
        raise SourceError(
            f"{document.name}: no id in the file's name, which is not like {pattern!r}; "
            "correct [source].id_in_file_name in the panel, or remove the file"
        )
    return series


def _read_parquet(document: Document) -> Iterator[pa.RecordBatch]:
    with document.opened() as stream:
        try:
            file = pa.parquet.ParquetFile(stream, page_checksum_verification=True)
            for batch in file.iter_batches(_BATCH_ROWS):
                batch.validate(full=True)  # a damaged page without a checksum may hold invalid UTF-8
                yield batch
        except (pa.ArrowException, OSError, UnicodeError) as error:
            reason = one_line(error)
            raise SourceError(
                f"{document.name} is not Parquet, or is damaged or cut short ({reason}); fetch it again"
            ) from error
