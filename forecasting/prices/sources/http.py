"""Prices at a web address: one file, downloaded completely before it is read."""

import gzip
import logging
import os
import time
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import httpx
import numpy as np
import pyarrow as pa
import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from forecasting.errors import SourceError, first_line
from forecasting.panel import Panel
from forecasting.prices.sources.documents import File
from forecasting.prices.sources.reading import read_files
from forecasting.prices.sources.uris import shown
from forecasting.temporary_folders import temporary_folder

_ATTEMPTS = 5
_SILENCE_SECONDS = 30.0  # longest wait for an answer, or for its next block
_LONGEST_WAIT_SECONDS = 60.0
_MEGABYTE = 1_000_000
_BLOCK_BYTES = 1 << 20
_MAGIC = {b"PK\x03\x04": ".zip", b"PAR1": ".parquet"}

_log = logging.getLogger(__name__)


def _log_retry(details: RetryDetails) -> None:
    _log.warning("%s; trying again in %.0f s", details.caused_by, details.wait_for)


set_on_retry_hooks([_log_retry])

# At INFO, httpx logs whole addresses, including keys and passwords.
logging.getLogger("httpx").setLevel(logging.WARNING)


class _TemporaryError(SourceError):
    """An error that a retry may resolve, after `wait` seconds if the server asks for that."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class HttpSource:
    """The file at the panel's URI. It is skipped if its `ETag` or `Last-Modified` has not changed."""

    def __init__(self, panel: Panel, read_before: Mapping[str, str]) -> None:
        self._panel = panel
        self._name = shown(panel.source.uri)
        self.tags = dict(read_before)
        self.read_all = False

    def read(self, _since: np.datetime64 | None = None) -> Generator[pa.Table]:
        """Read the file; see `Source.read`."""
        with self.files() as files:
            if files:
                self.read_all = True
                yield from read_files(files, self._panel)

    @contextmanager
    def files(self) -> Iterator[list[File]]:
        """The downloaded file; see `Source.files`."""
        with temporary_folder("source") as folder:
            path = self._fetch(folder)
            yield [] if path is None else [File.on_disk(self._name, path)]

    def _fetch(self, folder: Path) -> Path | None:
        """Download the file into `folder`, with retries; None if it has not changed."""
        limit = 60 * self._panel.source.time_limit_minutes
        deadline = time.monotonic() + limit
        tries = stamina.retry_context(
            _retry_after, attempts=_ATTEMPTS, timeout=limit, wait_initial=1, wait_max=_LONGEST_WAIT_SECONDS
        )
        for attempt in tries:
            with attempt:
                return self._try(folder, deadline)
        raise AssertionError  # the last try returns or raises

    def _try(self, folder: Path, deadline: float) -> Path | None:
        silence = max(0.001, min(_SILENCE_SECONDS, deadline - time.monotonic()))
        try:
            with (
                httpx.Client(follow_redirects=True, timeout=silence) as client,
                client.stream("GET", self._panel.source.uri, headers=self._headers()) as response,
            ):
                if self._is_unchanged(response):
                    return None
                path = self._save(response, folder, deadline)
                self.tags = _tags(response)
        except httpx.InvalidURL:  # the reason may contain a part of a password
            raise SourceError(f"{self._name} is not a web address; correct [source].uri") from None
        except (httpx.UnsupportedProtocol, httpx.TooManyRedirects, gzip.BadGzipFile, zlib.error) as error:
            raise SourceError(
                f"cannot fetch {self._name} ({error}); check [source].uri in the panel"
            ) from error
        except (httpx.TransportError, EOFError) as error:
            raise _TemporaryError(
                f"cannot fetch {self._name} ({first_line(error)}); check [source].uri, or run it again later"
            ) from error
        return path

    def _headers(self) -> dict[str, str]:
        names = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
        # gzip marks its own end, so a truncated answer is noticed.
        return {"Accept-Encoding": "gzip"} | {names[key]: tag for key, tag in self.tags.items()}

    def _is_unchanged(self, response: httpx.Response) -> bool:
        """Whether the file is unchanged: the server says so, or sends it with the same tags.

        Raises:
            SourceError: the answer is an error.
        """
        status = response.status_code
        if status == HTTPStatus.NOT_MODIFIED:
            return True
        if response.is_success:
            return bool(self.tags) and _tags(response) == self.tags
        message = (
            f"{self._name} answers {status} {response.reason_phrase}; check [source].uri in the panel, "
            "and the credentials that the server requires"
        )
        if status == HTTPStatus.TOO_MANY_REQUESTS or response.is_server_error:
            wait = response.headers.get("retry-after", "")
            raise _TemporaryError(message, float(wait) if wait.isdecimal() else None)
        raise SourceError(message)

    def _save(self, response: httpx.Response, folder: Path, deadline: float) -> Path:
        path = folder / "download"
        size = int(response.headers.get("content-length", 0))
        self._write(response.iter_raw(), path, deadline, size)
        encoding = response.headers.get("content-encoding", "identity").lower()
        if encoding in ("gzip", "x-gzip"):
            # httpx does not notice a truncated gzip stream; the gzip module does.
            with gzip.open(path) as packed:
                path = folder / "unpacked"
                self._write(iter(partial(packed.read, _BLOCK_BYTES), b""), path, deadline)
        elif encoding != "identity":
            raise SourceError(
                f"{self._name} answers in the encoding {encoding}; let the server send gzip or none"
            )
        ending = _ending(path)
        has_end = encoding != "identity" or not {"content-length", "transfer-encoding"}.isdisjoint(
            response.headers
        )
        if ending == ".csv" and not has_end and not _ends_a_line(path):
            raise _TemporaryError(
                f"{self._name} ends within a line, and no Content-Length says whether it is complete; "
                "run it again later, or let the file end with a newline"
            )
        return path.rename(folder / f"{self._stem}{ending}")

    def _write(self, blocks: Iterable[bytes], path: Path, deadline: float, size: int = 0) -> None:
        """Write the blocks to a file, within the panel's limits; `size` is the announced length."""
        source = self._panel.source
        with path.open("wb") as file:
            for block in blocks:
                file.write(block)
                size = max(size, file.tell())
                if size > source.max_megabytes * _MEGABYTE:
                    raise SourceError(
                        f"{self._name} has more than {source.max_megabytes:g} MB; "
                        "raise [source].max_megabytes in the panel, or check [source].uri"
                    )
                if time.monotonic() > deadline:
                    raise SourceError(
                        f"{self._name} took longer than {source.time_limit_minutes:g} minutes; "
                        "raise [source].time_limit_minutes in the panel, or run it again later"
                    )

    @property
    def _stem(self) -> str:
        name = PurePosixPath(unquote(urlsplit(self._panel.source.uri).path)).name
        return name.partition(".")[0] or "download"


def _ending(path: Path) -> str:
    """The suffix that fits the bytes; the address and the server's content type are not trusted."""
    start = _start(path)
    if start.startswith(b"\x1f\x8b"):
        return ".parquet.gz" if _unpacked_start(path).startswith(b"PAR1") else ".csv.gz"
    return next((ending for magic, ending in _MAGIC.items() if start.startswith(magic)), ".csv")


def _tags(response: httpx.Response) -> dict[str, str]:
    """The best tag of the file's state that the server sends, if any."""
    for key in ("etag", "last-modified"):
        if key in response.headers:
            return {key: response.headers[key]}
    return {}


def _retry_after(error: Exception) -> bool | float:
    if not isinstance(error, _TemporaryError):
        return False
    return True if error.wait is None else min(error.wait, _LONGEST_WAIT_SECONDS)


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1 << 10)


def _ends_a_line(path: Path) -> bool:
    """Whether the file is empty or its last character is a newline, in UTF-8 or UTF-16."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 2))
        last = file.read().rstrip(b"\0")
    return not last or last.endswith((b"\n", b"\r"))


def _unpacked_start(path: Path) -> bytes:
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(_start(path))
