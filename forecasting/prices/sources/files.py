"""Prices in local files: one file, a folder, a glob or a zip."""

import glob
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.sources.documents import KINDS, File, holds_prices, read_error
from forecasting.prices.sources.lake_tables import is_delta, read_delta, refuse_table_files
from forecasting.prices.sources.layouts import Origin, to_offered
from forecasting.prices.sources.reading import read_files

# Endings of tables as text, read as CSV where the panel names the file itself; in a folder they may be
# anything.
_TEXTS = (".txt", ".tsv", ".tab", ".dat", ".asc", ".prn")


class FileSource:
    """The files at the panel's URI, in the order of their names. All files are read every time."""

    def __init__(self, panel: Panel, _read_before: Mapping[str, str]) -> None:
        self._panel = panel
        self.tags: dict[str, str] = {}
        self.read_all = True

    def read(self, _since: np.datetime64 | None = None) -> Generator[pa.Table]:
        """Read the files; see `Source.read`."""
        place = _local_path(self._panel.source.uri)
        if is_delta(place):
            return self._read_delta(place)
        with self.files() as files:
            return read_files(files, self._panel)

    @contextmanager
    def files(self) -> Iterator[list[File]]:
        """The files, in order; see `Source.files`."""
        paths = _find(_local_path(self._panel.source.uri))
        refuse_table_files(paths)
        yield [File.on_disk(str(path), path) for path in paths]

    def _read_delta(self, folder: Path) -> Generator[pa.Table]:
        origin = Origin(str(folder))
        for batch in read_delta(str(folder), str(folder)):
            yield to_offered(pa.Table.from_batches([batch]), origin, self._panel)


def _local_path(uri: str) -> Path:
    _, is_uri, rest = uri.partition("://")
    return Path(unquote(rest) if is_uri else uri)


def _find(path: Path) -> list[Path]:
    if path.is_file():
        if not holds_prices(path.name) and path.suffix.lower() not in _TEXTS:
            raise SourceError(f"{path} is not a {KINDS} file{_advice(path)}; check [source].uri in the panel")
        return [path]
    if path.is_dir():
        try:
            found, place = sorted(path.iterdir()), f"the folder {path}"
        except PermissionError as error:
            raise read_error(str(path), error) from error
        if not any(file.is_file() and holds_prices(file.name) for file in found):
            found = sorted(path.rglob("*"))
    elif glob.has_magic(str(path)):
        found, place = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor)))), str(path)
    else:
        raise SourceError(f"no file at {path}; check [source].uri in the panel")
    found = [file for file in found if file.is_file() and holds_prices(file.name)]
    if not found:
        raise SourceError(f"no {KINDS} file in {place}; check [source].uri in the panel")
    return found


def _advice(path: Path) -> str:
    if path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        return " but a workbook: save its sheet as CSV"
    return ""
