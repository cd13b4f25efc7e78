"""Documents: the tables in files, as bytes; CSV or Parquet, plain or compressed."""

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
from forecasting.prices.sources.allowance import Allowance

KINDS = ".csv, .parquet, .gz or .zip"

# An OSError without an error number means damaged data: bz2 and gzip (BadGzipFile) raise such errors.
_DAMAGE = (zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError)


@dataclass(frozen=True)
class File:
    """A file, local or remote.

    Attributes:
        name: location of the file, for messages.
        local: context manager of a local copy of the file; the suffix of its name says what it is.
    """

    name: str
    local: Callable[[], AbstractContextManager[Path]]

    @classmethod
    def on_disk(cls, name: str, path: Path) -> Self:
        """A file that is already on this machine."""

        def local() -> AbstractContextManager[Path]:
            return nullcontext(path)

        return cls(name, local)


@dataclass(frozen=True)
class Document:
    """The bytes of one table.

    Attributes:
        name: location of the document, for messages.
        file_name: name of the file; its suffix says what it is.
        open_bytes: opens the bytes from the start at each call.
        allowance: what may be read of the source, of which the uncompressed bytes take their part.
    """

    name: str
    file_name: str
    open_bytes: Callable[[], IO[bytes]]
    allowance: Allowance

    @property
    def stem(self) -> str:
        """File name without folder and suffixes."""
        return PurePath(_unpacked(self.file_name)).stem

    @property
    def is_csv(self) -> bool:
        """Whether the document is CSV, or a table as text under another name; otherwise it is Parquet."""
        return not _unpacked(self.file_name).lower().endswith(".parquet")

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Open the uncompressed bytes.

        Raises:
            SourceError: the file is damaged, cut short, or not readable for this user; or the source holds
                more than its panel allows.
        """
        try:
            with self.open_bytes() as stream:
                if self.file_name.lower().endswith(".gz"):
                    with gzip.GzipFile(fileobj=stream) as unpacked:
                        yield self.allowance.counted(cast("IO[bytes]", unpacked), self.name)
                else:
                    yield self.allowance.counted(stream, self.name)
        except _DAMAGE as error:
            raise read_error(self.name, error) from error


def holds_prices(name: str) -> bool:
    """Whether a file of that name is a document or an archive of documents."""
    return _is_document(name) or _is_archive(name)


def documents_in(path: Path, name: str, allowance: Allowance) -> list[Document]:
    """The documents in a local file: the file itself, or the members of an archive.

    Args:
        path: the local file.
        name: its name in messages.
        allowance: what may be read of the source.

    Raises:
        SourceError: the archive is damaged, or holds no document; or its documents are larger than the panel
            allows.
    """
    if not _is_archive(path.name):
        return [Document(name, path.name, partial(_open_file, path), allowance)]
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
    except zipfile.BadZipFile as error:
        raise SourceError(
            f"{name} is not a zip, or is cut short ({error}); fetch it again, or check [source].uri"
        ) from error
    except OSError as error:
        raise read_error(name, error) from error
    members = sorted(filter(_is_document, sizes))
    allowance.check(sum(sizes[member] for member in members))
    if not members:
        raise SourceError(f"no .csv or .parquet file in {name}; check [source].uri in the panel")
    return [
        Document(f"{name}/{member}", member, partial(_open_member, path, member, name), allowance)
        for member in members
    ]


def read_error(name: str, error: Exception) -> SourceError:
    """The error to raise if the file that messages call `name` cannot be opened or read."""
    if isinstance(error, OSError) and error.errno is not None:
        return SourceError(f"{name} cannot be opened ({error.strerror}); check that this user may read it")
    return SourceError(f"{name} is damaged or cut short ({error}); fetch it again")


def _is_document(name: str) -> bool:
    """Hidden files, and the files that macOS adds to a zip, hold no prices."""
    hidden = any(part.startswith((".", "__")) for part in PurePath(name).parts)
    return not hidden and _unpacked(name).lower().endswith((".csv", ".parquet"))


def _is_archive(name: str) -> bool:
    return name.lower().endswith(".zip")


def _open_file(path: Path) -> IO[bytes]:
    return path.open("rb")


def _open_member(path: Path, member: str, name: str) -> IO[bytes]:
    with zipfile.ZipFile(path) as archive:  # an open member keeps its own handle on the file
        try:
            return archive.open(member)
        except RuntimeError as error:  # a password, or an unsupported method such as Deflate64
            raise SourceError(
                f"{name}/{member} cannot be unpacked ({error}); compress it with Deflate and no password"
            ) from error


def _unpacked(name: str) -> str:
    return name[:-3] if name.lower().endswith(".gz") else name
