"""Prices behind a web address: one file, fetched whole before any of it counts."""

import logging
import time
import zlib
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

import httpx
import numpy as np
import pyarrow as pa
import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.sources.documents import File
from forecasting.prices.sources.reading import read_files
from forecasting.prices.sources.uris import shown

_ATTEMPTS = 5
_SILENCE_SECONDS = 30.0  # without an answer, or without more of it
_LONGEST_WAIT_SECONDS = 60.0
_MEGABYTE = 1_000_000
_MAGIC = {b"PK\x03\x04": ".zip", b"PAR1": ".parquet"}

_log = logging.getLogger(__name__)


def _say_so(details: RetryDetails) -> None:
    _log.warning("%s; trying again in %.0f s", details.caused_by, details.wait_for)


set_on_retry_hooks([_say_so])

# It names whole addresses at INFO, keys and passwords in them too.
logging.getLogger("httpx").setLevel(logging.WARNING)


class _PassingError(SourceError):
    """One that may be gone at the next try, after `wait` seconds where the server says so."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class HttpSource:
    """The file at the panel's URI, unless it still has the `ETag` or `Last-Modified` that was read before."""

    def __init__(self, panel: Panel, read_before: Mapping[str, str]) -> None:
        self._panel = panel
        self._name = shown(panel.source.uri)
        self.tags = dict(read_before)
        self.read_all = False

    def read(self, _since: np.datetime64 | None = None) -> Iterator[pa.Table]:
        """What the file offers; see `Source.read`."""
        with TemporaryDirectory(prefix="nightcast-") as folder:
            path = self._fetch(Path(folder))
            if path is not None:
                self.read_all = True
                yield from read_files([File.on_disk(self._name, path)], self._panel)

    def _fetch(self, folder: Path) -> Path | None:
        """The file in `folder`, or None where it has not changed; tried again where that may help."""
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
                client.stream("GET", self._panel.source.uri, headers=self._conditions()) as response,
            ):
                if self._is_unchanged(response):
                    return None
                path = self._save(response, folder, deadline)
                self.tags = _tags(response)
        except httpx.InvalidURL:  # the reason may hold a part of a password
            raise SourceError(f"{self._name} is not a web address; correct [source].uri") from None
        except (httpx.UnsupportedProtocol, httpx.TooManyRedirects, httpx.DecodingError) as error:
            raise SourceError(
                f"cannot fetch {self._name} ({error}); check [source].uri in the panel"
            ) from error
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise _PassingError(
                f"cannot fetch {self._name} ({reason}); check [source].uri, or run it again later"
            ) from error
        return path

    def _conditions(self) -> dict[str, str]:
        names = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
        return {names[key]: tag for key, tag in self.tags.items()}

    def _is_unchanged(self, response: httpx.Response) -> bool:
        """Whether the answer is no file, since that is known; a server may send the same one again.

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
            "and what the server asks for"
        )
        if status == HTTPStatus.TOO_MANY_REQUESTS or response.is_server_error:
            wait = response.headers.get("retry-after", "")
            raise _PassingError(message, float(wait) if wait.isdecimal() else None)
        raise SourceError(message)

    def _save(self, response: httpx.Response, folder: Path, deadline: float) -> Path:
        source = self._panel.source
        limit = source.max_megabytes * _MEGABYTE
        size = int(response.headers.get("content-length", 0))
        path = folder / "download"
        with path.open("wb") as file:
            for block in response.iter_bytes():
                file.write(block)
                size = max(size, file.tell())
                if size > limit:
                    raise SourceError(
                        f"{self._name} has more than {source.max_megabytes:g} MB; "
                        "raise [source].max_megabytes in the panel, or check [source].uri"
                    )
                if time.monotonic() > deadline:
                    raise SourceError(
                        f"{self._name} took longer than {source.time_limit_minutes:g} minutes; "
                        "raise [source].time_limit_minutes in the panel, or run it again later"
                    )
        return path.rename(folder / f"{self._stem}{self._ending(path)}")

    @property
    def _stem(self) -> str:
        name = PurePosixPath(unquote(urlsplit(self._panel.source.uri).path)).name
        return name.partition(".")[0] or "download"

    def _ending(self, path: Path) -> str:
        """What the bytes say that they are; neither the address nor the server's word for it is trusted.

        Raises:
            SourceError: they are a web page or JSON: a login, a notice, an error with the status of success.
        """
        start = _start(path)
        if start.startswith(b"\x1f\x8b"):
            return ".parquet.gz" if _unpacked_start(path).startswith(b"PAR1") else ".csv.gz"
        text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
        if text.startswith((b"<", b"{", b"[{")):
            kind = "a web page" if text.startswith(b"<") else "JSON"
            raise SourceError(
                f"{self._name} answers with {kind}, not with CSV or Parquet; "
                "open it in a browser to see why, then correct [source].uri in the panel"
            )
        return next((ending for magic, ending in _MAGIC.items() if start.startswith(magic)), ".csv")


def _tags(response: httpx.Response) -> dict[str, str]:
    """The best that the server has to tell one state of the file from another, if anything."""
    for key in ("etag", "last-modified"):
        if key in response.headers:
            return {key: response.headers[key]}
    return {}


def _retry_after(error: Exception) -> bool | float:
    if not isinstance(error, _PassingError):
        return False
    return True if error.wait is None else min(error.wait, _LONGEST_WAIT_SECONDS)


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1 << 10)


def _unpacked_start(path: Path) -> bytes:
    return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(_start(path))
