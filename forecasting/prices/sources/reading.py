"""Reading: convert files, local or downloaded, to the rows that they offer."""

import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing

import pyarrow as pa
import pyarrow.parquet

from forecasting.errors import SourceError, one_line
from forecasting.panel import Panel
from forecasting.prices.sources.allowance import Allowance, TooMuchError
from forecasting.prices.sources.csv_tables import Dialect, find_dialect, read_csv
from forecasting.prices.sources.documents import Document, File, documents_in
from forecasting.prices.sources.layouts import Origin, column_types, to_offered, unreadable_rows
from forecasting.prices.sources.series_names import SeriesNames, hive_values
from forecasting.prices.sources.uris import shown

# Cells of Parquet in memory at once, at most so many rows.
_BATCH_CELLS, _BATCH_ROWS = 1 << 24, 1 << 20
# Times that pyarrow reads as they are written.
_TYPED_TIMES = (
    (re.compile(r"\d{4}-\d{2}-\d{2}"), pa.date32()),
    (re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?"), pa.timestamp("us")),
)


def changed_since(before: Mapping[str, str], found: Mapping[str, str | None]) -> list[str]:
    """Return the names of the files to read, of those `found`, by name and tag; None is a file without a tag.

    They are those that are new or changed. Where one is gone, all are read: which bars were lost?
    """
    if not before.keys() <= found.keys():
        return list(found)
    return [name for name, tag in found.items() if before.get(name, "") != tag]


def read_files(
    files: Iterable[File], panel: Panel, *, names: Sequence[str] = (), may_be_empty: bool = False
) -> Generator[pa.Table]:
    """Read the files in their order, in batches of `schema.OFFERED`.

    If there are several documents, one that cannot be read becomes an unreadable row and does not stop the
    others. A file that cannot be downloaded stops the read, because a later try may succeed.

    Args:
        files: the files to read.
        panel: how to read them.
        names: the names of all files of the source, where only some of them are read; they tell the ids.
        may_be_empty: whether it is acceptable that they hold no wanted series.

    Raises:
        SourceError: a file could not be downloaded, or none has a wanted series; no document could be read,
            for the reason of the first one; or files of one name lie in several folders, and nothing tells
            their series apart; or they hold more than the panel allows.
    """
    failures: list[SourceError] = []
    read = rows = 0
    files = list(files)
    series = SeriesNames([*names, *(file.name for file in files if file.name not in names)], panel.source)
    with closing(_documents(files, series, Allowance(panel.source), failures)) as documents:
        for document in documents:
            origin = _origin(document, series, panel)
            try:
                for batch in _read(document, origin, panel):
                    rows += batch.num_rows
                    yield batch
                read += 1
            except TooMuchError:
                raise
            except SourceError as error:
                failures.append(error)
    if failures and not read:
        raise failures[0]
    if not (rows or failures or may_be_empty) and (panel.source.include or panel.source.exclude):
        raise SourceError(
            f"no series at {shown(panel.source.uri)} is in [source].include and not in exclude; "
            "correct these lists in the panel"
        )
    yield unreadable_rows([str(error) for error in failures])


def _documents(
    files: Iterable[File], series: SeriesNames, allowance: Allowance, failures: list[SourceError]
) -> Generator[Document]:
    """The documents of the files, each while its file is there; `failures` receives what cannot be read."""
    for file in files:
        with file.local() as path:
            try:
                documents = documents_in(path, file.name, allowance)
            except TooMuchError:
                raise
            except SourceError as error:
                failures.append(error)
                continue
            if len(documents) > 1:
                series.open_archive(file.name, documents)
            yield from documents


def _origin(document: Document, series: SeriesNames, panel: Panel) -> Origin:
    source = panel.source
    name = series.of(document) if source.layout == "long" and not source.id_column else ""
    return Origin(document.name, name, hive_values(document.name))


def _read(document: Document, origin: Origin, panel: Panel) -> Iterator[pa.Table]:
    spoiled: list[str] = []  # lines whose number of values differs from the header's
    rows, first = 0, 1
    if document.is_csv:
        dialect = find_dialect(document, panel.source)
        found = panel.source.model_copy(update={"decimal": dialect.decimal})
        panel = panel.model_copy(update={"source": found})
        types = _with_times(column_types(dialect.names, panel, origin), dialect, panel)
        batches, first = read_csv(document, dialect, types, spoiled), dialect.above + 1
    else:
        batches = _read_parquet(document, panel, origin)
    unit = "line" if document.is_csv else "row"
    for batch in batches:
        here = Origin(origin.name, origin.series, origin.folder_values, first + rows + len(spoiled), unit)
        rows += batch.num_rows
        yield to_offered(batch, here, panel)
    if not rows:
        raise SourceError(f"{document.name} has no rows; check [source].uri in the panel, or fetch it again")
    # Lines of several files may be equal and have no id, so each one names its file.
    yield unreadable_rows([f"{document.name}: {line}" for line in spoiled])


def _with_times(types: dict[str, pa.DataType], dialect: Dialect, panel: Panel) -> dict[str, pa.DataType]:
    """The types of a CSV's columns, with that of the time where pyarrow reads how it is written."""
    source = panel.source
    # With a zone a time may be no one instant, and is then kept as it is written.
    if source.time_format or source.time_zone or len(source.time_columns) > 1:
        return types
    at = dialect.names.index(source.time_columns[0])
    written = [row[at] for row in dialect.sample if at < len(row)]
    for form, kind in _TYPED_TIMES:
        if all(map(form.fullmatch, written)):
            return {**types, source.time_columns[0]: kind}
    return types


def _read_parquet(document: Document, panel: Panel, origin: Origin) -> Iterator[pa.Table]:
    with document.opened() as stream:
        try:
            names = pa.parquet.read_schema(stream).names
            encoded = [name for name in names if name == panel.source.id_column]
            stream.seek(0)
            file = pa.parquet.ParquetFile(stream, page_checksum_verification=True, read_dictionary=encoded)
            columns = [
                name for name in column_types(names, panel, origin) if panel.source.layout != "wide"
            ] or None
            rows = max(1, min(_BATCH_ROWS, _BATCH_CELLS // len(columns or names)))
            for batch in file.iter_batches(rows, columns=columns):
                batch.validate(full=True)  # a damaged page without a checksum may hold invalid UTF-8
                yield pa.Table.from_batches([batch])
        except (pa.ArrowException, OSError, UnicodeError) as error:
            reason = one_line(error)
            raise SourceError(
                f"{document.name} is not Parquet, or is damaged or cut short ({reason}); fetch it again"
            ) from error
