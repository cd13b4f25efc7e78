"""Prices in an object store (S3, Google Cloud Storage, Azure): one object, a prefix, or a glob."""

import glob
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import obstore
import pyarrow as pa
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from forecasting.errors import SourceError, first_line
from forecasting.panel import Panel
from forecasting.prices.sources.documents import KINDS, File, holds_prices
from forecasting.prices.sources.lake_tables import LOG, delta_root, read_delta
from forecasting.prices.sources.layouts import Origin, to_offered
from forecasting.prices.sources.reading import changed_since, read_files
from forecasting.prices.sources.uris import shown
from forecasting.temporary_folders import temporary_folder

if TYPE_CHECKING:
    from obstore import ObjectMeta

SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss")

_SILENCE = timedelta(seconds=30)
_MEGABYTE = 1_000_000


class ObjectSource:
    """The objects at the panel's URI in the order of their paths, without those that were read before.

    `obstore` takes credentials, region and endpoint from the environment: `AWS_ACCESS_KEY_ID`,
    `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, and so on.
    """

    def __init__(self, panel: Panel, read_before: Mapping[str, str]) -> None:
        self._panel = panel
        self._name = shown(panel.source.uri)
        self._read_before = read_before
        self.tags: dict[str, str] = {}
        self.read_all = False

    def read(self, _since: np.datetime64 | None = None) -> Generator[pa.Table]:
        """Read the objects; see `Source.read`."""
        root, path, store = self._connect()
        with self._said():
            found = self._find(store, path)
        folder = delta_root([meta["path"] for meta in found])
        if folder is not None:
            yield from self._read_delta(root, folder, path, found)
            return
        found = [meta for meta in found if holds_prices(meta["path"])]
        self.tags = {meta["path"]: meta["e_tag"] for meta in found if meta["e_tag"]}
        changed = {*changed_since(self._read_before, {meta["path"]: meta["e_tag"] for meta in found})}
        new = [meta for meta in found if meta["path"] in changed]
        self.read_all = len(new) == len(found)
        if new:
            files = [File(f"{shown(root)}/{meta['path']}", partial(self._copy, store, meta)) for meta in new]
            names = [f"{shown(root)}/{meta['path']}" for meta in found]
            yield from read_files(files, self._panel, names=names, may_be_empty=bool(self._read_before))

    def _read_delta(
        self, root: str, folder: str, path: str, found: "list[ObjectMeta]"
    ) -> Generator[pa.Table]:
        """The rows of a Delta table, unless its log is the same as before."""
        name = f"{shown(root)}/{folder}"
        if folder != path.strip("/"):
            raise SourceError(
                f"{name} is a Delta table, whose objects may hold deleted rows; set [source].uri to {name}"
            )
        log = [meta for meta in found if f"{LOG}/" in meta["path"]]
        self.tags = {meta["path"]: meta["e_tag"] for meta in log if meta["e_tag"]}
        self.read_all = self.tags != dict(self._read_before)
        if not self.read_all:
            return
        for batch in read_delta(f"{root}/{folder}", name, {"allow_http": "true"}):
            yield to_offered(pa.Table.from_batches([batch]), Origin(name), self._panel)

    @contextmanager
    def files(self) -> Iterator[list[File]]:
        """The objects, in order; see `Source.files`."""
        root, path, store = self._connect()
        with self._said():
            found = self._find(store, path)
        yield [
            File(f"{shown(root)}/{meta['path']}", partial(self._copy, store, meta))
            for meta in found
            if holds_prices(meta["path"])
        ]

    def _connect(self) -> tuple[str, str, ObjectStore]:
        """The root of the store, the path in it, and the store."""
        scheme, _, rest = self._panel.source.uri.partition("://")
        bucket, _, path = rest.partition("/")
        root = f"{scheme}://{bucket}"
        with self._said():
            store = from_url(
                root,
                # Plain HTTP is used only if the environment names such an endpoint, as for a local MinIO.
                client_options={"timeout": _SILENCE, "allow_http": True},
                retry_config={
                    "max_retries": 5,
                    "retry_timeout": timedelta(minutes=self._panel.source.time_limit_minutes),
                },
            )
        return root, path, store

    def _find(self, store: ObjectStore, path: str) -> "list[ObjectMeta]":
        if holds_prices(path) and not glob.has_magic(path):
            return [obstore.head(store, path)]
        # List below the longest prefix of the path that has no wildcard.
        parts = PurePosixPath(path).parts
        fixed = next((at for at, part in enumerate(parts) if glob.has_magic(part)), len(parts))
        listed = [meta for batch in obstore.list(store, "/".join(parts[:fixed])) for meta in batch]
        found = [
            meta
            for meta in listed
            if (holds_prices(meta["path"]) and (fixed == len(parts) or fnmatchcase(meta["path"], path)))
            or f"{LOG}/" in meta["path"]
        ]
        if not found:
            raise SourceError(f"no {KINDS} object at {self._name}; check [source].uri in the panel")
        return sorted(found, key=lambda meta: meta["path"])

    @contextmanager
    def _copy(self, store: ObjectStore, meta: "ObjectMeta") -> Iterator[Path]:
        limit = self._panel.source.max_megabytes
        if meta["size"] > limit * _MEGABYTE:
            raise SourceError(
                f"{self._name}: {meta['path']} has more than {limit:g} MB; "
                "raise [source].max_megabytes in the panel"
            )
        with temporary_folder("source") as folder:
            path = folder / PurePosixPath(meta["path"]).name
            with self._said(), path.open("wb") as file:
                for block in obstore.get(store, meta["path"]).stream():
                    file.write(block)
            yield path

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Turn an error of the object store into one line."""
        try:
            yield
        except FileNotFoundError as error:
            raise SourceError(f"no object at {self._name}; check [source].uri in the panel") from error
        except (BaseError, OSError, ValueError) as error:
            raise SourceError(
                f"cannot read {self._name} ({first_line(error)}); "
                "check [source].uri in the panel, and the credentials and region in the environment"
            ) from error
