"""Storage: everything of ours under one root URI, local or S3.

Published things are plain objects, each written with one put (`obstore`), so that none is ever half there.
Growing tables are Delta tables under the same root; `table_uri` and `table_options` say where.
"""

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import LocalStore, ObjectStore, from_url

from forecasting.digests import digest_bytes
from forecasting.errors import StoreError, first_line

if TYPE_CHECKING:
    from obstore import UpdateVersion
    from obstore.store import ClientConfig

DEFAULT_STORE = "store"

_REMOTE_TIMEOUT = "60s"
_LONGEST_NAME = 200
_AT_ONCE = 16
_ERROR_CODE = re.compile(r"<Code>(\w+)</Code>")


class Storage:
    """The objects and tables under one root: `uri`, or else `NIGHTCAST_STORE`, or else `./store`.

    Credentials and endpoint of a remote root come from the environment (`AWS_ACCESS_KEY_ID`,
    `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, ...), as `obstore` and `deltalake` read them.

    Args:
        uri: a folder, `file://...`, `s3://bucket/prefix`, ...
        must_exist: for those who only read: a folder that is not there is an error and not made, and so is a
            bucket that is not there or not ours.

    Raises:
        StoreError: it cannot be opened.
    """

    def __init__(self, uri: str | None = None, *, must_exist: bool = False) -> None:
        self.uri, self.local_root = locate(uri)
        if must_exist and self.local_root is not None and not self.local_root.is_dir():
            raise StoreError(f"there is no store at {self.uri}; check store=, --store or NIGHTCAST_STORE")
        self._objects = _connect(self.uri, self.local_root)
        if must_exist and self.local_root is None:
            _check_readable(self._objects, self.uri)

    def display(self, path: str) -> str:
        """Where an object lies, as a person would write it."""
        if self.local_root is None:
            return f"{self.uri}/{path}"
        whole = self.local_root / path
        here = Path.cwd()
        return str(whole.relative_to(here) if whole.is_relative_to(here) else whole)

    def put(self, path: str, data: bytes) -> None:
        """Write an object in one put: a reader sees the old bytes or the new ones."""
        obstore.put(self._objects, path, data)

    def put_new(self, path: str, data: bytes) -> bool:
        """Write an object unless there is one already; whether it was written."""
        try:
            obstore.put(self._objects, path, data, mode="create")
        except AlreadyExistsError:
            return False
        return True

    def get(self, path: str) -> bytes:
        """An object's bytes.

        Raises:
            StoreError: there is no such object.
        """
        data = self.find(path)
        if data is None:
            raise StoreError(
                f"no object {path} in the store {self.uri}; check --store, or run the panel first"
            )
        return data

    def find(self, path: str) -> bytes | None:
        """An object's bytes, or None where there is no such object."""
        return self.find_tagged(path)[0]

    def find_all(self, paths: Sequence[str]) -> Iterator[bytes | None]:
        """What `find` finds of each, in their order, a few at a time: a remote store takes its time."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for at in range(0, len(paths), _AT_ONCE):  # no more of them in memory at once
                yield from pool.map(self.find, paths[at : at + _AT_ONCE])

    def find_tagged(self, path: str) -> tuple[bytes | None, str | None]:
        """An object's bytes and the tag of that state of it for `put_if`; None twice where there is none."""
        try:
            found = obstore.get(self._objects, path)
        except FileNotFoundError:
            return None, None
        return bytes(found.bytes()), found.meta["e_tag"]

    def put_if(self, path: str, data: bytes, tag: str | None) -> bool:
        """Write an object if it is still in the state `tag` (None: absent); whether it was written.

        A local folder has no such condition: there the object is written whatever its state.
        """
        if tag is None:
            return self.put_new(path, data)
        mode: UpdateVersion | None = None if self.local_root is not None else {"e_tag": tag}
        try:
            obstore.put(self._objects, path, data, mode=mode or "overwrite")
        except PreconditionError:
            return False
        return True

    def folders(self, prefix: str) -> list[str]:
        """The paths of the folders right below `prefix`, sorted; no look is taken into them."""
        found = obstore.list_with_delimiter(self._objects, prefix=prefix)
        return sorted(found["common_prefixes"])

    def list(self, prefix: str) -> list[str]:
        """The paths of all objects below the folder `prefix`, sorted."""
        batches = obstore.list(self._objects, prefix=prefix)
        return sorted(meta["path"] for batch in batches for meta in batch)

    def list_times(self, prefix: str) -> dict[str, datetime]:
        """When each object below the folder `prefix` was last written, by path; the clock is the store's."""
        batches = obstore.list(self._objects, prefix=prefix)
        return {meta["path"]: meta["last_modified"] for batch in batches for meta in batch}

    def names(self, folder: str) -> tuple[str, ...]:
        """The names of what lies right in a folder, be it an object or a folder, sorted."""
        found = obstore.list_with_delimiter(self._objects, prefix=folder)
        paths = [*found["common_prefixes"], *(meta["path"] for meta in found["objects"])]
        return tuple(sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in paths))

    def delete(self, paths: Sequence[str]) -> None:
        """Delete objects, in any order; those that are not there are left so."""
        if self.local_root is not None:  # which, unlike S3, complains of them
            paths = [path for path in paths if (self.local_root / path).is_file()]
        try:
            obstore.delete(self._objects, list(paths))
        except FileNotFoundError:  # another process deleted some at the same time
            self.delete([path for path in paths if self.find(path) is not None])

    def table_uri(self, path: str) -> str:
        """Where a Delta table lies; a local one is a plain path."""
        return f"{self.uri}/{path}"

    @property
    def table_options(self) -> dict[str, str]:
        """`storage_options` for `deltalake`."""
        if self.local_root is not None:
            return {}
        return {"timeout": _REMOTE_TIMEOUT, "allow_http": _allow_http()}


def locate(uri: str | None = None) -> tuple[str, Path | None]:
    """A root's whole URI, and its folder where it is local; given as for `Storage`, and not opened."""
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
        code = _ERROR_CODE.search(str(error))  # in an S3 server's answer
        reason = code[1] if code else first_line(error)
        raise StoreError(
            f"cannot read the store {uri}: {reason}; "
            "check store=, --store or NIGHTCAST_STORE, and the credentials"
        ) from error


def _allow_http() -> str:
    """Plain HTTP is right only for an endpoint that the environment names so, such as a local MinIO."""
    return "true" if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://") else "false"


def file_name(unique_id: str) -> str:
    """A file name for a series that is safe whatever its id: no separator, no `..`, no over-long name."""
    name = quote(unique_id, safe="=+@ ")
    if name.startswith("."):  # hidden, or a step up
        name = f"%2E{name[1:]}"
    return name if len(name) <= _LONGEST_NAME else f"{name[:100]}-{digest_bytes(unique_id.encode())[:16]}"
