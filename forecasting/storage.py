"""Storage: the objects and tables of a store, in a local folder or on S3.

Published files are plain objects. Each is written with one put (`obstore`), so that a reader never sees half
an object. Growing tables are Delta tables under the same root; `table_uri` and `table_options` give their
location.
"""

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import LocalStore, ObjectStore, from_url

from forecasting.digests import digest_bytes
from forecasting.errors import StoreError, first_line

if TYPE_CHECKING:
    from obstore import Attributes, UpdateVersion
    from obstore.store import ClientConfig

DEFAULT_STORE = "store"

_REMOTE_TIMEOUT = "60s"
_LONGEST_NAME = 200
_AT_ONCE = 16
# Without its type, a browser downloads a page that it should show, and refuses a style.
_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
}
_ERROR_CODE = re.compile(r"<Code>(\w+)</Code>")


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
        if must_exist and self.local_root is not None and not self.local_root.is_dir():
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

    def put(self, path: str, data: bytes) -> None:
        """Write an object with one put. Readers see either the old bytes or the new ones."""
        obstore.put(self._objects, path, data, attributes=self._attributes(path))

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object unless it exists. Return whether it was written."""
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

    def find_tagged(self, path: str) -> tuple[bytes | None, str | None]:
        """Return an object's bytes and its version tag for `put_if`; (None, None) if there is none."""
        try:
            found = obstore.get(self._objects, path)
        except FileNotFoundError:
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
        mode: UpdateVersion | None = None if self.local_root is not None else {"e_tag": tag}
        try:
            obstore.put(
                self._objects, path, data, mode=mode or "overwrite", attributes=self._attributes(path)
            )
        except PreconditionError:
            return False
        return True

    def _attributes(self, path: str) -> "Attributes | None":
        """The content type by the file's ending, for browsers; a file system keeps none."""
        content_type = _CONTENT_TYPES.get(PurePosixPath(path).suffix)
        return {"Content-Type": content_type} if content_type and self.local_root is None else None

    def folders(self, prefix: str) -> list[str]:
        """Return the sorted paths of the folders directly below `prefix`. Lists that one level only."""
        found = obstore.list_with_delimiter(self._objects, prefix=prefix)
        return sorted(found["common_prefixes"])

    def list(self, prefix: str) -> list[str]:
        """Return the sorted paths of all objects below the folder `prefix`, at any depth."""
        batches = obstore.list(self._objects, prefix=prefix)
        return sorted(meta["path"] for batch in batches for meta in batch)

    def list_times(self, prefix: str) -> dict[str, datetime]:
        """Return when each object below `prefix` was last written, by path, on the store's clock."""
        batches = obstore.list(self._objects, prefix=prefix)
        return {meta["path"]: meta["last_modified"] for batch in batches for meta in batch}

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the sorted names of the objects and folders directly in a folder."""
        found = obstore.list_with_delimiter(self._objects, prefix=folder)
        paths = [*found["common_prefixes"], *(meta["path"] for meta in found["objects"])]
        return tuple(sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in paths))

    def delete(self, paths: Sequence[str]) -> None:
        """Delete objects, in any order. Paths that do not exist are ignored."""
        if self.local_root is not None:  # a local store, unlike S3, rejects paths that do not exist
            paths = [path for path in paths if (self.local_root / path).is_file()]
        try:
            obstore.delete(self._objects, list(paths))
        except FileNotFoundError:  # another process deleted some at the same time
            self.delete([path for path in paths if self.find(path) is not None])

    def table_uri(self, path: str) -> str:
        """Return the URI of a Delta table, or its path in a local store."""
        return f"{self.uri}/{path}"

    @property
    def table_options(self) -> dict[str, str]:
        """`storage_options` for `deltalake`."""
        if self.local_root is not None:
            return {}
        return {"timeout": _REMOTE_TIMEOUT, "allow_http": _allow_http()}


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
        return from_url(uri, client_options=client)
    except (OSError, ValueError, BaseError) as error:
        reason = first_line(error)
        raise StoreError(
            f"cannot open the store {uri}: {reason}; check --store or NIGHTCAST_STORE"
        ) from error


def _check_readable(objects: ObjectStore, uri: str) -> None:
    try:
        obstore.list_with_delimiter(objects)
    except BaseError as error:
        code = _ERROR_CODE.search(str(error))  # S3 servers put the error code there
        reason = code[1] if code else first_line(error)
        raise StoreError(
            f"cannot read the store {uri}: {reason}; "
            "check store=, --store or NIGHTCAST_STORE, and the credentials"
        ) from error


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
