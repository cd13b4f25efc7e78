"""Prices in local files: one file, a folder, a glob or a zip."""

import glob
import hashlib
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
from forecasting.prices.sources.reading import changed_since, read_files

# Endings of tables as text, read as CSV where the panel names the file itself; in a folder they may be
# anything.
_TEXTS = (".txt", ".tsv", ".tab", ".dat", ".asc", ".prn")


# Files of fewer bytes together are read every time, which takes a second or two.
LARGE = 32_000_000


class FileSource:
    """The files at the panel's URI, in the order of their names.

    Of large files, those with the same content as before are not read again. Their digests tell: the times of
    files do not, because programs that copy files set them as they like.
    """

    def __init__(self, panel: Panel, read_before: Mapping[str, str]) -> None:
        self._panel = panel
        self._read_before = read_before
        self.tags: dict[str, str] = {}
        self.read_all = True

    def read(self, _since: np.datetime64 | None = None) -> Generator[pa.Table]:
        """Read the files; see `Source.read`."""
        place = _local_path(self._panel.source.uri)
        if is_delta(place):
            yield from self._read_delta(place)
            return
        paths = self._paths()
        new = self._changed(paths)
        self.read_all = len(new) == len(paths)
        if not new:
            return
        files, names = [File.on_disk(str(path), path) for path in new], [str(path) for path in paths]
        yield from read_files(files, self._panel, names=names, may_be_empty=not self.read_all)

    @contextmanager
    def files(self) -> Iterator[list[File]]:
        """The files, in order; see `Source.files`."""
        yield [File.on_disk(str(path), path) for path in self._paths()]

    def _paths(self) -> list[Path]:
        paths = _find(_local_path(self._panel.source.uri))
        refuse_table_files(paths)
        return paths

    def _changed(self, paths: list[Path]) -> list[Path]:
        """The files to read: those that are new or changed, or all where one is gone or they are small."""
        if sum(path.stat().st_size for path in paths) < LARGE:
            return paths
        for path in paths:
            with path.open("rb") as file:
                self.tags[str(path)] = hashlib.file_digest(file, "sha256").hexdigest()
        return [Path(name) for name in changed_since(self._read_before, self.tags)]

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
