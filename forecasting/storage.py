"""Storage: the objects and tables of a store, in a local folder or on S3.

Published files are plain objects. Each is written in one step, so that a reader never sees half an object.
Growing tables are Delta tables under the same root; `table_uri` and `table_options` give their location.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import LocalStore, ObjectStore, from_url

from forecasting.digests import digest_bytes
from forecasting.errors import StoreError, first_line
from forecasting.local_files import sync_files, write_file
from forecasting.store_errors import as_store_error, explain

if TYPE_CHECKING:
    from obstore import Attributes, ListResult, ObjectMeta, UpdateVersion
    from obstore.store import ClientConfig, RetryConfig

DEFAULT_STORE = "store"

_REMOTE_TIMEOUT = "60s"
_LONGEST_NAME = 200
_AT_ONCE = 16
# A server that answers nothing is given up after about two minutes a request, one that refuses after seconds.
_RETRIES: "RetryConfig" = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
_DELTA_RETRIES = {"max_retries": "5", "retry_timeout": "60s"}
# Without its type, a browser downloads a page that it should show, and refuses a style.
_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
}


class Storage:
    """The objects and tables of one store.

    The root is `uri`, or else the environment variable `NIGHTCAST_STORE`, or else the folder `./store`.

    Credentials and endpoint of a remote root come from the environment (`AWS_ACCESS_KEY_ID`,
    `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, ...), as `obstore` and `deltalake` read them.

    Args:
        uri: a folder, `file://...`, `s3://bucket/prefix`, ...
        must_exist: for readers. If set, a missing folder is an error and is not created, and a bucket must
            exist and be readable.

    Raises:
        StoreError: the store cannot be opened.

    Example:
        >>> from tempfile import mkdtemp
        >>> storage = Storage(mkdtemp())
        >>> storage.put("greetings/first", b"hello")
        >>> storage.get("greetings/first")
        b'hello'
        >>> storage.list("greetings")
        ['greetings/first']
    """

    def __init__(self, uri: str | None = None, *, must_exist: bool = False) -> None:
        self.uri, self.local_root = locate(uri)
        if must_exist and self.local_root is not None:
            with self._told():
                exists = self.local_root.is_dir()
            if not exists:
                raise StoreError(f"there is no store at {self.uri}; check store=, --store or NIGHTCAST_STORE")
        self._objects = _connect(self.uri, self.local_root)
        if must_exist and self.local_root is None:
            _check_readable(self._objects, self.uri)

    def display(self, path: str) -> str:
        """Return an object's location for messages: a URI, or a path relative to the working directory."""
        if self.local_root is None:
            return f"{self.uri}/{path}"
        whole = self.local_root / path
        here = Path.cwd()
        return str(whole.relative_to(here) if whole.is_relative_to(here) else whole)

    def put(self, path: str, data: bytes, *, synced: bool = True) -> None:
        """Write an object with one put. Readers see either the old bytes or the new ones.

        In a local store it is on the disk when this returns, unless `synced` is false: then see `sync`.

        Raises:
            StoreError: the store cannot be written.
        """
        with self._told():
            if self.local_root is not None:
                write_file(self.local_root / path, data, synced=synced)
            else:
                obstore.put(self._objects, path, data, attributes=self._attributes(path))

    def sync(self, paths: Sequence[str]) -> None:
        """Bring objects of a local store, and their folders, to the disk. Does nothing elsewhere."""
        if self.local_root is not None:
            with self._told():
                sync_files([self.local_root / path for path in paths], self.local_root)

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object unless it exists. Return whether it was written."""
        with self._told():
            if self.local_root is not None:
                return write_file(self.local_root / path, data, new=True)
            try:
                obstore.put(self._objects, path, data, mode="create", attributes=self._attributes(path))
            except AlreadyExistsError:
                return False
        return True

    def get(self, path: str) -> bytes:
        """Return the bytes of an object.

        Raises:
            StoreError: the object does not exist.
        """
        data = self.find(path)
        if data is None:
            raise StoreError(
                f"no object {path} in the store {self.uri}; check --store, or run the panel first"
            )
        return data

    def find(self, path: str) -> bytes | None:
        """Return the bytes of an object, or None if it does not exist."""
        return self.find_tagged(path)[0]

    def find_all(self, paths: Sequence[str]) -> Iterator[bytes | None]:
        """Yield the result of `find` for each path, in order, reading several at once."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for at in range(0, len(paths), _AT_ONCE):  # limits how many objects are in memory
                yield from pool.map(self.find, paths[at : at + _AT_ONCE])

    def digests(self, paths: Sequence[str]) -> Iterator[str | None]:
        """Yield the SHA-256 of each object, in order; None where there is none. Reads them in pieces."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from pool.map(self._digest, paths)

    def _digest(self, path: str) -> str | None:
        sha = hashlib.sha256()
        with self._told():
            try:
                pieces = obstore.get(self._objects, path).stream()
            except FileNotFoundError as error:
                self._check_bucket(error)
                return None
            for piece in pieces:
                sha.update(piece)
        return sha.hexdigest()

    def find_tagged(self, path: str) -> tuple[bytes | None, str | None]:
        """Return an object's bytes and its version tag for `put_if`; (None, None) if there is none."""
        with self._told():
            try:
                found = obstore.get(self._objects, path)
            except FileNotFoundError as error:
                self._check_bucket(error)
                return None, None
            return bytes(found.bytes()), found.meta["e_tag"]

    def put_if(self, path: str, data: bytes, tag: str | None) -> bool:
        """Write an object if its version tag is still `tag` (None: it does not exist yet).

        Local folders have no version tags: there, an existing object is always overwritten.

        Returns:
            Whether the object was written.
        """
        if tag is None:
            return self.put_new(path, data)
        if self.local_root is not None:
            self.put(path, data)
            return True
        mode: UpdateVersion = {"e_tag": tag}
        with self._told():
            try:
                obstore.put(self._objects, path, data, mode=mode, attributes=self._attributes(path))
            except PreconditionError:
                return False
        return True

    def _attributes(self, path: str) -> "Attributes | None":
        """The content type by the file's ending, for browsers; a file system keeps none."""
        content_type = _CONTENT_TYPES.get(PurePosixPath(path).suffix)
        return {"Content-Type": content_type} if content_type and self.local_root is None else None

    def folders(self, prefix: str) -> list[str]:
        """Return the sorted paths of the folders directly below `prefix`. Lists that one level only."""
        return sorted(self._level(prefix)["common_prefixes"])

    def list(self, prefix: str) -> list[str]:
        """Return the sorted paths of all objects below the folder `prefix`, at any depth."""
        return sorted(self.list_times(prefix))

    def list_times(self, prefix: str) -> dict[str, datetime]:
        """Return when each object below `prefix` was last written, by path, on the store's clock."""
        with self._told():
            batches = obstore.list(self._objects, prefix=prefix)
            return {meta["path"]: meta["last_modified"] for batch in batches for meta in batch}

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the sorted names of the objects and folders directly in a folder."""
        found = self._level(folder)
        paths = [*found["common_prefixes"], *(meta["path"] for meta in found["objects"])]
        return tuple(sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in paths))

    def delete(self, paths: Sequence[str]) -> None:
        """Delete objects, in any order. Paths that do not exist are ignored."""
        if self.local_root is not None:  # a local store, unlike S3, rejects paths that do not exist
            paths = [path for path in paths if (self.local_root / path).is_file()]
        with self._told():
            try:
                obstore.delete(self._objects, list(paths))
            except FileNotFoundError:  # another process deleted some at the same time
                self.delete([path for path in paths if self.find(path) is not None])

    def move(self, folder: str, to: str) -> None:
        """Move all objects below a folder to another one. In a local store that is one step.

        Else the log of a Delta table goes last, so that the table is at one place or at none.
        """
        paths = sorted(self.list(folder), key=lambda path: ("/_delta_log/" in path, path))
        with self._told():
            if self.local_root is None:
                for path in paths:
                    obstore.rename(self._objects, path, f"{to}{path.removeprefix(folder)}")
                return
            (self.local_root / to).parent.mkdir(parents=True, exist_ok=True)
            (self.local_root / folder).rename(self.local_root / to)

    def table_uri(self, path: str) -> str:
        """Return the URI of a Delta table, or its path in a local store."""
        return f"{self.uri}/{path}"

    @property
    def table_options(self) -> dict[str, str]:
        """`storage_options` for `deltalake`."""
        if self.local_root is not None:
            return {}
        return {"timeout": _REMOTE_TIMEOUT, "allow_http": _allow_http(), **_DELTA_RETRIES}

    def _level(self, folder: str) -> "ListResult[Sequence[ObjectMeta]]":
        """What is directly in a folder."""
        with self._told():
            return obstore.list_with_delimiter(self._objects, prefix=folder)

    def _check_bucket(self, error: FileNotFoundError) -> None:
        """Tell a missing bucket from a missing object."""
        told = explain(error, self.uri) if self.local_root is None else None
        if told is not None:
            raise told from error

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn any error of the store into a `StoreError` of one line."""
        try:
            yield
        except (OSError, BaseError) as error:
            raise as_store_error(error, self.uri) from error


def locate(uri: str | None = None) -> tuple[str, Path | None]:
    """Return the full URI of a store, and its folder if it is local. `uri` is as in `Storage`."""
    uri = uri or os.environ.get("NIGHTCAST_STORE") or DEFAULT_STORE
    if uri.startswith("file://"):
        uri = unquote(uri.removeprefix("file://"))
    if "://" in uri:
        return uri.rstrip("/"), None
    folder = Path(uri).expanduser().resolve()
    return str(folder), folder


def _connect(uri: str, local_root: Path | None) -> ObjectStore:
    try:
        if local_root is not None:
            return LocalStore(local_root, mkdir=True, automatic_cleanup=True)
        client: ClientConfig = {"timeout": _REMOTE_TIMEOUT, "allow_http": _allow_http() == "true"}
        return from_url(uri, client_options=client, retry_config=_RETRIES)
    except (OSError, ValueError, BaseError) as error:
        raise explain(error, uri) or StoreError(
            f"cannot open the store {uri}: {first_line(error)}; check --store or NIGHTCAST_STORE"
        ) from error


def _check_readable(objects: ObjectStore, uri: str) -> None:
    try:
        obstore.list_with_delimiter(objects)
    except (OSError, BaseError) as error:
        raise as_store_error(error, uri) from error


def _allow_http() -> str:
    """Allow plain HTTP only if the configured endpoint uses it, such as a local MinIO."""
    return "true" if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://") else "false"


def file_name(unique_id: str) -> str:
    """Return a safe file name for any series id: no separators, no `..`, at most 200 characters.

    >>> file_name("EUR/USD")
    'EUR%2FUSD'
    """
    name = quote(unique_id, safe="=+@ ")
    if name.startswith("."):  # would be a hidden file, or the parent folder
        name = f"%2E{name[1:]}"
    return name if len(name) <= _LONGEST_NAME else f"{name[:100]}-{digest_bytes(unique_id.encode())[:16]}"
