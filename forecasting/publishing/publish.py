"""Publishing: a forecast's folder, the manifest that commits it, and the pointer to the newest one.

The manifest is written last: a folder without one is not a forecast. The pointer moves after that, forward
only. Nothing here takes a lock; whatever is killed when, a reader sees the old forecast or the new one.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from forecasting import __version__, contract
from forecasting.digests import digest_bytes, digest_record
from forecasting.errors import StoreError
from forecasting.panel import Panel
from forecasting.storage import Storage, file_name

FORECAST = "forecast.parquet"
WALKS = "_walks.parquet"
REPORT = "_report.html"
CHARTS = "_charts"
MANIFEST = "_manifest.json"

# Two publishers meet at most once or twice; more conflicts than this mean a store that refuses every put.
_POINTER_ATTEMPTS = 10

_SHARED_KEYS = frozenset({"panel", "as_of", "forecast_id", "known_at", "published_at"})
_MANIFEST_KEYS = _SHARED_KEYS | {"objects"}
_POINTER_KEYS = _SHARED_KEYS | {"path", "sha256"}


@dataclass(frozen=True)
class ForecastAddress:
    """Where one forecast lives.

    Attributes:
        panel: its panel's name.
        as_of: its `as_of`, as written in paths.
        forecast_id: its identity.
    """

    panel: str
    as_of: str
    forecast_id: str

    @property
    def folder(self) -> str:
        """Its folder in the store."""
        return f"{as_of_folder(self.panel, self.as_of)}/id={self.forecast_id}"

    def path(self, name: str) -> str:
        """One of its objects in the store."""
        return f"{self.folder}/{name}"

    def chart(self, unique_id: str) -> str:
        """A series' chart in the store."""
        return self.path(f"{CHARTS}/{chart_name(unique_id)}")


def chart_name(unique_id: str) -> str:
    """The file name of a series' chart in `_charts/`."""
    return f"{file_name(unique_id)}.png"


def forecasts_folder(panel: str) -> str:
    """Where all forecasts of a panel live."""
    return f"forecasts/{panel}"


def as_of_folder(panel: str, as_of: str) -> str:
    """Where all forecasts of one `as_of` live."""
    return f"{forecasts_folder(panel)}/as_of={as_of}"


def latest_table(panel: str) -> str:
    """Where a copy of the newest forecast lives."""
    return f"latest/{panel}.parquet"


def latest_pointer(panel: str) -> str:
    """Where the pointer to the newest forecast lives."""
    return f"latest/{panel}.json"


def forecast_address(
    panel: Panel,
    as_of: np.datetime64,
    rows_digest: str,
    who: tuple[str, str],
    *,
    provisional: bool = False,
) -> ForecastAddress:
    """The address of the forecast that these inputs make: the same inputs, the same address.

    `who` publishes is a model and its version.
    """
    label = panel.label(as_of)
    model, model_version = who
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


def find_manifest(storage: Storage, address: ForecastAddress) -> dict[str, Any] | None:
    """The manifest of a forecast; None where it is not committed, or is damaged and has to be made again."""
    data = storage.find(address.path(MANIFEST))
    forecast = storage.find(address.path(FORECAST))
    manifest = _decode(data) if data is not None else None
    if manifest is None or forecast is None:
        return None
    return manifest if manifest["objects"][FORECAST] == digest_bytes(forecast) else None


def manifests(storage: Storage, folder: str) -> list[tuple[str, dict[str, Any]]]:
    """The folders (with a `/`) and manifests of all committed forecasts below `folder`, oldest first.

    The last one of an `as_of` counts. Older is by `known_at`, then by when they were published; but
    backfilled ones come before live ones, and provisional ones before all that are final. One that is
    removed meanwhile is not among them.
    """
    paths = [path for path in storage.list(folder) if path.endswith(f"/{MANIFEST}")]
    decoded = [None if data is None else _decode(data) for data in storage.find_all(paths)]
    read = zip(paths, decoded, strict=True)
    found = [(path.removesuffix(MANIFEST), manifest) for path, manifest in read if manifest is not None]
    return sorted(found, key=lambda pair: (*_rank(pair[1]), pair[1]["published_at"]))


def commit(storage: Storage, address: ForecastAddress, record: dict[str, Any]) -> dict[str, Any]:
    """Write the manifest that commits a forecast, unless it has one; the manifest that stands.

    `record` adds to what is said here: the address, the digests of all objects in the folder, and the time.

    Raises:
        StoreError: the folder lacks the forecast itself.
    """
    objects = {
        path.removeprefix(f"{address.folder}/"): digest_bytes(storage.get(path))
        for path in storage.list(address.folder)
        if not path.endswith(MANIFEST)
    }
    if FORECAST not in objects:
        raise StoreError(f"{address.folder} has no {FORECAST}; nothing to publish, run the panel again")
    manifest = {
        "contract_version": contract.VERSION,
        "package_version": __version__,
        "panel": address.panel,
        "as_of": address.as_of,
        "forecast_id": address.forecast_id,
        "published_at": datetime.now(UTC).isoformat(),
        "objects": objects,
        **record,
    }
    if storage.put_new(address.path(MANIFEST), _encode(manifest)):
        return manifest
    standing = find_manifest(storage, address)
    if standing is None:  # it was damaged
        storage.put(address.path(MANIFEST), _encode(manifest))
    return standing or manifest


def point_latest(storage: Storage, manifest: dict[str, Any]) -> bool:
    """Make `latest/` show the forecast of `manifest`, unless it shows a later one; whether it shows this one.

    Later is by (`as_of`, `known_at`); of two with the same, the last one published. Of one `as_of`, any live
    forecast is later than a backfilled one, and any final one later than a provisional one. The copy is
    written before the pointer; one that lost a race puts the winner's copy back. A damaged pointer is made
    anew, to the latest forecast there is.

    Raises:
        StoreError: the store refused every attempt.
    """
    panel = manifest["panel"]
    for _ in range(_POINTER_ATTEMPTS):
        pointer, tag = _read_pointer(storage, panel)
        if pointer is not None and (_order(pointer) > _order(manifest) or _same(pointer, manifest)):
            _copy_latest(storage, pointer)
            return _same(pointer, manifest)
        is_damaged = pointer is None and tag is not None
        shown = _newest(storage, panel) if is_damaged else manifest
        moved = _pointer_to(shown)
        _copy_latest(storage, moved)
        if storage.put_if(latest_pointer(panel), _encode(moved), tag):
            return _same(shown, manifest)
    raise StoreError(f"{latest_pointer(panel)} changed at every attempt to move it; run the panel again")


def find_pointer(storage: Storage, panel: str) -> dict[str, Any] | None:
    """The pointer to the newest forecast; None where there is none.

    Raises:
        StoreError: it is damaged.
    """
    pointer, tag = _read_pointer(storage, panel)
    if pointer is None and tag is not None:
        raise StoreError(
            f"{storage.display(latest_pointer(panel))} is damaged: it names no forecast; "
            f"the next run makes it anew: nightcast run {panel}"
        )
    return pointer


def latest_as_of(storage: Storage, panel: str) -> str | None:
    """The `as_of` of the forecast that `latest/` shows; None where there is none.

    Raises:
        StoreError: the pointer is damaged.
    """
    pointer = find_pointer(storage, panel)
    return None if pointer is None else str(pointer["as_of"])


def latest_manifest(storage: Storage, panel: str) -> dict[str, Any] | None:
    """The manifest of the forecast that `latest/` shows; None where there is none, or it is damaged."""
    pointer, _ = _read_pointer(storage, panel)
    if pointer is None:
        return None
    return find_manifest(storage, ForecastAddress(panel, pointer["as_of"], pointer["forecast_id"]))


def _newest(storage: Storage, panel: str) -> dict[str, Any]:
    """The manifest of the latest forecast there is, in the pointer's order."""
    return max((manifest for _, manifest in manifests(storage, forecasts_folder(panel))), key=_order)


def _order(record: dict[str, Any]) -> tuple[str, bool, bool, str]:
    return record["as_of"], *_rank(record)


def _rank(record: dict[str, Any]) -> tuple[bool, bool, str]:
    """By which of the forecasts for one `as_of` the last one counts."""
    return _is_final(record), record.get("origin") != "backfill", record["known_at"]


def _is_final(record: dict[str, Any]) -> bool:
    return not record.get("provisional")


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(one["forecast_id"] == other["forecast_id"])


def _pointer_to(manifest: dict[str, Any]) -> dict[str, Any]:
    address = ForecastAddress(manifest["panel"], manifest["as_of"], manifest["forecast_id"])
    kept = ("contract_version", "panel", "as_of", "known_at", "forecast_id", "published_at")
    return {
        **{key: manifest[key] for key in kept},
        "path": address.path(FORECAST),
        "sha256": manifest["objects"][FORECAST],
        **{key: manifest[key] for key in ("origin", "provisional") if manifest.get(key)},
    }


def _copy_latest(storage: Storage, pointer: dict[str, Any]) -> None:
    """Make the copy in `latest/` the forecast that `pointer` names."""
    path = latest_table(pointer["panel"])
    current = storage.find(path)
    if current is not None and digest_bytes(current) == pointer["sha256"]:
        return
    forecast = storage.get(pointer["path"])
    if digest_bytes(forecast) != pointer["sha256"]:
        label = pointer["as_of"]
        raise StoreError(
            f"{pointer['path']} is damaged; run: nightcast run {pointer['panel']} --as-of {label}"
        )
    storage.put(path, forecast)


def _read_pointer(storage: Storage, panel: str) -> tuple[dict[str, Any] | None, str | None]:
    """The pointer, None where it is damaged or absent, and the tag of its state, None where it is absent."""
    data, tag = storage.find_tagged(latest_pointer(panel))
    return (_record(data, _POINTER_KEYS) if data is not None else None), tag


def _decode(data: bytes) -> dict[str, Any] | None:
    """A manifest, or None where it is damaged: then it commits nothing."""
    manifest = _record(data, _MANIFEST_KEYS)
    return manifest if manifest is not None and FORECAST in manifest["objects"] else None


def _record(data: bytes, keys: frozenset[str]) -> dict[str, Any] | None:
    """The JSON object in `data`, None where it is none or lacks one of the keys."""
    try:
        record = json.loads(data)
    except ValueError:  # no JSON, or no text at all
        return None
    return record if isinstance(record, dict) and keys <= record.keys() else None


def _encode(record: dict[str, Any]) -> bytes:
    return json.dumps(record, indent=1, sort_keys=True, allow_nan=False).encode()
