"""Prices in local files: one file, a folder, a glob or a zip."""

import glob
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.sources.documents import KINDS, File, holds_prices, read_error
from forecasting.prices.sources.reading import read_files


class FileSource:
    """The files at the panel's URI, in the order of their names. All files are read every time."""

    def __init__(self, panel: Panel, _read_before: Mapping[str, str]) -> None:
        self._panel = panel
        self.tags: dict[str, str] = {}
        self.read_all = True

    def read(self, _since: np.datetime64 | None = None) -> Iterator[pa.Table]:
        """Read the files; see `Source.read`."""
        files = [File.on_disk(str(path), path) for path in _find(self._panel.source.uri)]
        return read_files(files, self._panel)


def _find(uri: str) -> list[Path]:
    _, is_uri, rest = uri.partition("://")
    path = Path(unquote(rest) if is_uri else uri)
    if path.is_file():
        if not holds_prices(path.name):
            raise SourceError(f"{path} is not a {KINDS} file; check [source].uri in the panel")
        return [path]
    if path.is_dir():
        try:
            found, place = sorted(path.iterdir()), f"the folder {path}"
        except PermissionError as error:
            raise read_error(str(path), error) from error
    elif glob.has_magic(str(path)):
        found, place = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor)))), str(path)
    else:
        raise SourceError(f"no file at {path}; check [source].uri in the panel")
    found = [file for file in found if file.is_file() and holds_prices(file.name)]
    if not found:
        raise SourceError(f"no {KINDS} file in {place}; check [source].uri in the panel")
    return found
