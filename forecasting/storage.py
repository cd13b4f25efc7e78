"""Storage: everything of ours under one root URI, local or S3.

Published things are plain objects, each written with one put (`obstore`), so that none is ever half there.
Growing tables are Delta tables under the same root; `table_uri` and `table_options` say where.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import LocalStore, ObjectStore, from_url

from forecasting.digests import digest_bytes
from forecasting.errors import StoreError

if TYPE_CHECKING:
    from obstore import UpdateVersion
    from obstore.store import ClientConfig

DEFAULT_STORE = "store"

_REMOTE_TIMEOUT = "60s"
_LONGEST_NAME = 200


class Storage:
    """The objects and tables under one root: `uri`, or else `NIGHTCAST_STORE`, or else `./store`.

    Credentials and endpoint of a remote root come from the environment (`AWS_ACCESS_KEY_ID`,
    `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, ...), as `obstore` and `deltalake` read them.
    """

    def __init__(self, uri: str | None = None) -> None:
        self.uri, self.local_root = locate(uri)
        self._objects = _connect(self.uri, self.local_root)

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

    def list(self, prefix: str) -> list[str]:
        """The paths of all objects below the folder `prefix`, sorted."""
        batches = obstore.list(self._objects, prefix=prefix)
        return sorted(meta["path"] for batch in batches for meta in batch)

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
            return LocalStore(local_root, mkdir=True)
        client: ClientConfig = {"timeout": _REMOTE_TIMEOUT, "allow_http": _allow_http() == "true"}
        return from_url(uri, client_options=client)
    except (OSError, ValueError, BaseError) as error:
        reason = str(error).splitlines()[0]  # the rest is a dump of the client's state
        raise StoreError(
            f"cannot open the store {uri}: {reason}; check --store or NIGHTCAST_STORE"
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
