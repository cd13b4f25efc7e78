"""Publishing: commit a forecast with its manifest, and move the pointer to the newest forecast.

The manifest is written last: a folder without a manifest is not a forecast. The pointer moves after that, and
only forward. Nothing here takes a lock; whatever process is killed at whatever moment, a reader sees the old
forecast or the new one.
"""

from dataclasses import replace
from typing import TypeVar

import numpy as np

from forecasting import __version__
from forecasting.commands import command
from forecasting.digests import digest_bytes, digest_record
from forecasting.errors import StoreError
from forecasting.panel import Panel
from forecasting.publishing.address import (
    FORECAST,
    MANIFEST,
    ForecastAddress,
    forecasts_folder,
    latest_pointer,
    latest_table,
)
from forecasting.publishing.manifest import Manifest, Pointer, Published
from forecasting.storage import Storage

# Two publishers meet at most once or twice; more conflicts than this mean a store that refuses every put.
_POINTER_ATTEMPTS = 10

P = TypeVar("P", bound=Published)


def forecast_address(
    panel: Panel,
    as_of: np.datetime64,
    rows_digest: str,
    publisher: tuple[str, str],
    *,
    provisional: bool = False,
) -> ForecastAddress:
    """Return the address of the forecast that these inputs make: the same inputs give the same address.

    `publisher` is a model and its version.
    """
    label = panel.label(as_of)
    model, model_version = publisher
    identity = {
        "panel": panel.digest,
        "as_of": label,
        "rows": rows_digest,
        "model": model,
        "model_version": model_version,
        "package_version": __version__,
        **({"provisional": True} if provisional else {}),
    }
    return ForecastAddress(panel.name, label, digest_record(identity))


def find_manifest(storage: Storage, address: ForecastAddress) -> Manifest | None:
    """Return the manifest of a forecast; None where the forecast is not committed, or is damaged."""
    data = storage.find(address.path(MANIFEST))
    forecast = storage.find(address.path(FORECAST))
    if data is None or forecast is None:
        return None
    try:
        manifest = Manifest.from_json(data)
    except ValueError:  # a damaged manifest commits nothing: the run makes the forecast again
        return None
    return manifest if manifest.digest == digest_bytes(forecast) else None


def find_whole(storage: Storage, address: ForecastAddress) -> Manifest | None:
    """Return the manifest of a forecast; None where any object that it commits is missing or damaged."""
    manifest = find_manifest(storage, address)
    if manifest is None:
        return None
    digests = manifest.objects
    found = storage.digests([address.path(name) for name in digests])
    return manifest if list(found) == list(digests.values()) else None


def find_published(storage: Storage, folder: str) -> list[tuple[str, Published]]:
    """Return the folders (with a `/`) and manifests of all committed forecasts below `folder`, by rank.

    Of several forecasts for one `as_of` the last one counts: final forecasts come after provisional ones,
    live after backfilled, then by `known_at`, then by when they were published. A damaged manifest commits
    nothing. A forecast that is removed meanwhile is not in the list.
    """
    return _find(storage, folder, Published)


def find_manifests(storage: Storage, folder: str) -> list[tuple[str, Manifest]]:
    """Return the same as `find_published` with whole manifests."""
    return _find(storage, folder, Manifest)


def count_manifests(storage: Storage, folder: str) -> int:
    """Return the number of manifests below `folder`, damaged ones included."""
    return sum(path.endswith(f"/{MANIFEST}") for path in storage.list(folder))


def _find(storage: Storage, folder: str, kind: type[P]) -> list[tuple[str, P]]:
    paths = [path for path in storage.list(folder) if path.endswith(f"/{MANIFEST}")]
    found = [
        (path.removesuffix(MANIFEST), published)
        for path, data in zip(paths, storage.find_all(paths), strict=True)
        if data is not None and (published := _read(data, kind)) is not None
    ]
    return sorted(found, key=lambda pair: (*pair[1].rank, pair[1].published_at))


def commit(storage: Storage, manifest: Manifest, panel: Panel | None = None) -> Manifest:
    """Commit a forecast with its manifest, and return the manifest that stands.

    The digests of all objects in the forecast's folder are added to the manifest. A manifest that stands
    already stays, unless it is damaged; it takes the digests of objects that were made again.

    Raises:
        StoreError: the folder lacks the forecast itself. The command in the message names the folder of
            `panel`, if it is given.
    """
    address = manifest.address
    paths = [path for path in storage.list(address.folder) if not path.endswith(MANIFEST)]
    storage.sync(paths)
    digests = zip(paths, storage.digests(paths), strict=True)
    objects = {path.removeprefix(f"{address.folder}/"): digest for path, digest in digests if digest}
    if FORECAST not in objects:
        raise StoreError(
            f"{storage.display(address.folder)} has no {FORECAST}, so there is nothing to publish; "
            f"run: {command('run', panel or address.panel, '--as-of', address.as_of, store=storage.uri)}"
        )
    whole = replace(manifest, objects=objects)
    if storage.put_new(address.path(MANIFEST), whole.to_json()):
        return whole
    standing = find_manifest(storage, address)
    if standing is not None and standing.objects == objects:
        return standing
    # The manifest, or an object that it names, was damaged.
    mended = whole if standing is None else replace(standing, objects=objects)
    storage.put(address.path(MANIFEST), mended.to_json())
    return mended


def point_latest(storage: Storage, published: Published, panel: Panel | None = None) -> bool:
    """Make `latest/` show a committed forecast, unless it shows a later one.

    Return whether `latest/` shows this forecast now.

    Later is by `as_of`, then by rank (see `find_published`); of two with the same, the last one published.
    The copy is written before the pointer, and a publisher that lost a race puts the winner's copy back. A
    pointer to a forecast that was made again with other bytes gets the new digest. A damaged pointer is
    replaced by one to the newest forecast in the store.

    Raises:
        StoreError: the store refused every attempt, or the forecast to show is damaged. The command in the
            message names the folder of `panel`, if it is given.
    """
    name, named = published.panel, panel or published.panel
    for _ in range(_POINTER_ATTEMPTS):
        pointer, tag = _read_pointer(storage, name)
        if pointer is not None and (pointer.order > published.order or _shows(pointer, published)):
            _copy_latest(storage, pointer, named)
            return pointer.forecast_id == published.forecast_id
        is_damaged = pointer is None and tag is not None
        shown = _newest(storage, name) if is_damaged else published
        moved = Pointer.to(shown)
        _copy_latest(storage, moved, named)
        if storage.put_if(latest_pointer(name), moved.to_json(), tag):
            return shown.forecast_id == published.forecast_id
    raise StoreError(
        f"{storage.display(latest_pointer(name))} changed at each of {_POINTER_ATTEMPTS} attempts "
        f"to move it; run: {command('run', named, store=storage.uri)}"
    )


def find_pointer(storage: Storage, panel: Panel | str) -> Pointer | None:
    """Return the pointer to the newest forecast; None where nothing was published.

    Raises:
        StoreError: the pointer is damaged. The command in the message runs as it stands if `panel` is a
            panel; a name is looked for in `NIGHTCAST_PANELS`.
    """
    name = panel if isinstance(panel, str) else panel.name
    pointer, tag = _read_pointer(storage, name)
    if pointer is None and tag is not None:
        raise StoreError(
            f"{storage.display(latest_pointer(name))} is damaged: it names no forecast; "
            f"the next run replaces it: {command('run', panel, store=storage.uri)}"
        )
    return pointer


def latest_as_of(storage: Storage, panel: Panel | str) -> str | None:
    """Return the `as_of` of the forecast that `latest/` shows; None where nothing was published.

    Raises:
        StoreError: the pointer is damaged.
    """
    pointer = find_pointer(storage, panel)
    return None if pointer is None else pointer.as_of


def latest_manifest(storage: Storage, panel: str) -> Manifest | None:
    """Return the manifest of the forecast that `latest/` shows; None where it is absent or damaged."""
    pointer, _ = _read_pointer(storage, panel)
    return None if pointer is None else find_manifest(storage, pointer.address)


def _read(data: bytes, kind: type[P]) -> P | None:
    try:
        return kind.from_json(data)
    except ValueError:
        return None


def _newest(storage: Storage, panel: str) -> Published:
    found = find_published(storage, forecasts_folder(panel))
    return max((published for _, published in found), key=lambda published: published.order)


def _shows(pointer: Pointer, published: Published) -> bool:
    """Whether the pointer names this forecast and the bytes that its manifest commits."""
    return (pointer.forecast_id, pointer.sha256) == (published.forecast_id, published.digest)


def _copy_latest(storage: Storage, pointer: Pointer, panel: Panel | str) -> None:
    """Make the copy in `latest/` the forecast that `pointer` names."""
    path = latest_table(pointer.panel)
    current = storage.find(path)
    if current is not None and digest_bytes(current) == pointer.sha256:
        return
    forecast = storage.get(pointer.path)
    if digest_bytes(forecast) != pointer.sha256:
        again = command("run", panel, "--as-of", pointer.as_of, store=storage.uri)
        raise StoreError(f"{storage.display(pointer.path)} is damaged; run: {again}")
    storage.put(path, forecast)


def _read_pointer(storage: Storage, panel: str) -> tuple[Pointer | None, str | None]:
    """Return the pointer (None: absent or damaged) and the tag of its state (None: absent)."""
    data, tag = storage.find_tagged(latest_pointer(panel))
    if data is None:
        return None, tag
    try:
        return Pointer.from_json(data), tag
    except ValueError:
        return None, tag
