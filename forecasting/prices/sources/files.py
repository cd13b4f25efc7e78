"""Prices in local files: one file, a folder, a glob or a zip."""

import glob
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

import pyarrow as pa

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.sources.documents import Document, is_document, read_documents

_KINDS = ".csv, .parquet, .gz or .zip"


def read_files(panel: Panel) -> Iterator[pa.Table]:
    """What the files at the panel's URI offer, file by file in the order of their names.

    Raises:
        SourceError: there is no such file, or it cannot be read as what it claims to be.
    """
    paths = _find(panel.source.uri)
    return read_documents([document for path in paths for document in _documents(path)], panel)


def _find(uri: str) -> list[Path]:
    path = Path(uri.removeprefix("file://"))
    if path.is_file():
        if not _is_known(path):
            raise SourceError(f"{path} is not a {_KINDS} file; check [source].uri in the panel")
        return [path]
    if path.is_dir():
        found, place = sorted(path.iterdir()), f"the folder {path}"
    elif glob.has_magic(str(path)):
        found, place = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor)))), str(path)
    else:
        raise SourceError(f"no file at {path}; check [source].uri in the panel")
    found = [file for file in found if file.is_file() and _is_known(file)]
    if not found:
        raise SourceError(f"no {_KINDS} file in {place}; check [source].uri in the panel")
    return found


def _is_known(path: Path) -> bool:
    return is_document(path.name) or _is_archive(path)


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _documents(path: Path) -> list[Document]:
    if not _is_archive(path):
        return [Document(str(path), partial(_open_file, path))]
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(name for name in archive.namelist() if is_document(name))
    except zipfile.BadZipFile as error:
        raise SourceError(
            f"{path} is not a zip, or is cut short ({error}); fetch it again, or check [source].uri"
        ) from error
    if not members:
        raise SourceError(f"no .csv or .parquet file in {path}; check [source].uri in the panel")
    return [Document(f"{path}/{member}", partial(_open_member, path, member)) for member in members]


def _open_file(path: Path) -> IO[bytes]:
    return path.open("rb")


def _open_member(path: Path, member: str) -> IO[bytes]:
    with zipfile.ZipFile(path) as archive:  # an open member keeps what it needs of it
        return archive.open(member)
