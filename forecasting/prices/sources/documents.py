"""Documents: the tables that lie in files, as bytes; CSV or Parquet, plain or packed."""

import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import IO, Self, cast

from forecasting.errors import SourceError

KINDS = ".csv, .parquet, .gz or .zip"

# An OSError, BadGzipFile among them, is damage where it has no number: bz2 raises plain ones.
_DAMAGE = (zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError)


@dataclass(frozen=True)
class File:
    """A file, wherever it lies.

    Attributes:
        name: where it lies, as messages name it.
        local: the file on this machine, for as long as the context lasts; its ending says what it is.
    """

    name: str
    local: Callable[[], AbstractContextManager[Path]]

    @classmethod
    def on_disk(cls, name: str, path: Path) -> Self:
        """A file that lies on this machine anyway."""

        def local() -> AbstractContextManager[Path]:
            return nullcontext(path)

        return cls(name, local)


@dataclass(frozen=True)
class Document:
    """One table's worth of bytes.

    Attributes:
        name: where it lies, as messages name it.
        file_name: its ending says what it is.
        open_bytes: opens its bytes, anew at each call.
    """

    name: str
    file_name: str
    open_bytes: Callable[[], IO[bytes]]

    @property
    def stem(self) -> str:
        """Its file name without folder and endings."""
        return PurePath(_unpacked(self.file_name)).stem

    @property
    def is_csv(self) -> bool:
        """Whether it is CSV; Parquet else."""
        return _unpacked(self.file_name).lower().endswith(".csv")

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Its bytes, unpacked.

        Raises:
            SourceError: they are damaged, more of them are expected, or they may not be read.
        """
        try:
            with self.open_bytes() as stream:
                if self.file_name.lower().endswith(".gz"):
                    with gzip.GzipFile(fileobj=stream) as unpacked:
                        yield cast("IO[bytes]", unpacked)
                else:
                    yield stream
        except _DAMAGE as error:
            raise unreadable(self.name, error) from error


def holds_prices(name: str) -> bool:
    """Whether a file of that name is a document, or an archive of some."""
    return _is_document(name) or _is_archive(name)


def documents_in(path: Path, name: str) -> list[Document]:
    """The documents in a local file that messages call `name`: itself, or what lies in it.

    Raises:
        SourceError: it is a damaged archive, or one without a document.
    """
    if not _is_archive(path.name):
        return [Document(name, path.name, partial(_open_file, path))]
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(filter(_is_document, archive.namelist()))
    except zipfile.BadZipFile as error:
        raise SourceError(
            f"{name} is not a zip, or is cut short ({error}); fetch it again, or check [source].uri"
        ) from error
    except OSError as error:
        raise unreadable(name, error) from error
    if not members:
        raise SourceError(f"no .csv or .parquet file in {name}; check [source].uri in the panel")
    return [
        Document(f"{name}/{member}", member, partial(_open_member, path, member, name)) for member in members
    ]


def unreadable(name: str, error: Exception) -> SourceError:
    """What to raise for a failure to open or to read what messages call `name`."""
    if isinstance(error, OSError) and error.errno is not None:
        return SourceError(f"{name} cannot be opened ({error.strerror}); check that this user may read it")
    return SourceError(f"{name} is damaged or cut short ({error}); fetch it again")


def _is_document(name: str) -> bool:
    """Hidden files, and what macOS adds to a zip, hold no prices."""
    hidden = any(part.startswith((".", "__")) for part in PurePath(name).parts)
    return not hidden and _unpacked(name).lower().endswith((".csv", ".parquet"))


def _is_archive(name: str) -> bool:
    return name.lower().endswith(".zip")


def _open_file(path: Path) -> IO[bytes]:
    return path.open("rb")


def _open_member(path: Path, member: str, name: str) -> IO[bytes]:
    with zipfile.ZipFile(path) as archive:  # an open member keeps what it needs of it
        try:
            return archive.open(member)
        except RuntimeError as error:  # a password, or a method that Python has not: Deflate64
            raise SourceError(
                f"{name}/{member} cannot be unpacked ({error}); pack it without a password, by Deflate"
            ) from error


def _unpacked(name: str) -> str:
    return name[:-3] if name.lower().endswith(".gz") else name
