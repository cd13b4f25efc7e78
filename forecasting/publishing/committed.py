"""Read a committed forecast, and check that its bytes are those that its manifest commits."""

import pyarrow as pa

from forecasting import contract
from forecasting.commands import command
from forecasting.digests import digest_bytes
from forecasting.errors import StoreError
from forecasting.panel import Panel
from forecasting.publishing.address import (
    CHARTS,
    FORECAST,
    MANIFEST,
    as_of_folder,
    forecasts_folder,
    latest_table,
)
from forecasting.publishing.manifest import Pointer, Published
from forecasting.publishing.publish import find_published
from forecasting.storage import Storage

_AS_OF = "as_of="
_NAMED = 3  # damaged objects named in a message


def read_forecast(
    storage: Storage, folder: str, published: Published, panel: Panel | str | None = None
) -> pa.Table:
    """Return the table of a committed forecast in `folder` (with a `/`). `panel` is as in `verified_table`.

    Raises:
        StoreError: the forecast is missing, or its bytes are not those that were published.
        ContractError: the forecast breaks the contract.
    """
    return verified_table(storage, folder, published, storage.find(f"{folder}{FORECAST}"), panel)


def verified_table(
    storage: Storage,
    folder: str,
    published: Published,
    data: bytes | None,
    panel: Panel | str | None = None,
) -> pa.Table:
    """Decode the bytes of a forecast (None: it is missing), if its manifest commits them.

    The command in an error's message names the panel's folder if `panel` is a panel.

    Raises:
        StoreError: the forecast is missing, or its bytes are not those that were published.
        ContractError: the forecast breaks the contract.
    """
    where = storage.display(f"{folder}{FORECAST}")
    # If the prices were revised, the run makes another forecast, which counts once the damaged one is gone.
    run = command("run", panel or published.panel, "--as-of", published.as_of, store=storage.uri)
    again = f"run: {run}; if the error remains, remove the forecast's folder"
    if data is None:
        raise StoreError(f"{where} is missing, but its manifest is there; {again}")
    if digest_bytes(data) != published.digest:
        raise StoreError(f"{where} is damaged: its digest differs from the one in its manifest; {again}")
    return contract.from_bytes(data, where)


def check_shown(panel: Panel, storage: Storage, pointer: Pointer) -> Published:
    """Read what `latest/` shows, as readers do, and return its manifest.

    Raises:
        StoreError: the manifest, the forecast or its copy in `latest/` is missing or damaged.
        ContractError: the forecast breaks the contract.
    """
    again = command("run", panel, "--as-of", pointer.as_of, store=storage.uri)
    path = pointer.address.path(MANIFEST)
    try:
        published = Published.from_json(storage.find(path) or b"")
    except ValueError as error:
        raise StoreError(
            f"{path} in {storage.uri}, the manifest of the newest forecast, is missing or damaged; "
            f"run: {again}"
        ) from error
    read_forecast(storage, f"{pointer.address.folder}/", published, panel)
    copy = storage.find(latest_table(panel.name))
    if copy is None or not _is_committed(storage, digest_bytes(copy), pointer):
        raise StoreError(
            f"{storage.display(latest_table(panel.name))}, the copy of the newest forecast, is missing or "
            f"damaged; run: {again}"
        )
    return published


def check_forecasts(panel: Panel, storage: Storage) -> None:
    """Check every object that the panel's manifests commit, except charts: they are many, and for people.

    Raises:
        StoreError: a manifest or an object is damaged; the message names the first ones.
    """
    found = []
    manifests = [path for path in storage.list(forecasts_folder(panel.name)) if path.endswith(f"/{MANIFEST}")]
    for path, data in zip(manifests, storage.find_all(manifests), strict=True):
        try:
            objects = Published.from_json(data or b"").objects
        except ValueError:
            found.append(path)
            continue
        checked = {name: digest for name, digest in objects.items() if not name.startswith(f"{CHARTS}/")}
        paths = [path.replace(MANIFEST, name) for name in checked]
        digests = zip(paths, checked.values(), storage.digests(paths), strict=True)
        found += [path for path, digest, now in digests if now != digest]
    if found:
        more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        again = command("run", panel, "--as-of", "DATE", store=storage.uri)
        raise StoreError(
            f"{len(found)} objects of published forecasts of {panel.name} are missing or damaged: "
            f"{', '.join(found[:_NAMED])}{more}; to make a forecast again, remove its folder and run: {again}"
        )


def _is_committed(storage: Storage, digest: str, pointer: Pointer) -> bool:
    """Whether these are the bytes of the pointer's forecast, or of a later one.

    The copy is written before the pointer: for a moment, or if its run is killed, it is of a later forecast.
    """
    if digest == pointer.sha256:
        return True
    names = storage.names(forecasts_folder(pointer.panel))
    labels = (name.removeprefix(_AS_OF) for name in names if name.startswith(_AS_OF))
    later = [label for label in labels if label >= pointer.as_of]
    folders = [as_of_folder(pointer.panel, label) for label in later]
    return any(digest == one.digest for folder in folders for _, one in find_published(storage, folder))
