"""Reading forecasts: the way in for a downstream job.

Each function returns a DataFrame whose bytes match the digest in the manifest that committed it.
"""

import json
from datetime import date, datetime
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from forecasting.digests import digest_bytes
from forecasting.errors import StoreError
from forecasting.publishing import contract
from forecasting.publishing.publish import FORECAST, as_of_folder, latest_pointer, manifests
from forecasting.storage import Storage


def latest(panel: str, store: str | None = None) -> pd.DataFrame:
    """The newest forecast of `panel`; `store` is its URI (default: `NIGHTCAST_STORE`, or `./store`).

    Raises:
        StoreError: there is none, or its bytes are not those that were published.
        ContractError: it breaks the contract.
    """
    storage = Storage(store)
    data = storage.find(latest_pointer(panel))
    if data is None:
        raise StoreError(f"no forecast of panel {panel!r} in {storage.uri}; run: nightcast run {panel}")
    pointer = json.loads(data)
    return _read(storage, pointer["path"], pointer["sha256"])


def as_of(panel: str, when: date | str, store: str | None = None) -> pd.DataFrame:
    """The newest committed forecast of `panel` for the `as_of` `when` (intraday: as written in its path).

    Raises:
        StoreError: there is none, or its bytes are not those that were published.
        ContractError: it breaks the contract.
    """
    storage = Storage(store)
    label = when.strftime("%Y-%m-%d") if isinstance(when, date | datetime) else when
    committed = manifests(storage, as_of_folder(panel, label))
    if not committed:
        raise StoreError(
            f"no forecast of panel {panel!r} as of {label} in {storage.uri}; "
            f"run: nightcast run {panel} --as-of {label}"
        )
    return _read_committed(storage, *committed[-1])


def history(panel: str, unique_id: str, store: str | None = None) -> pd.DataFrame:
    """Every `as_of`'s newest committed forecast of one series, oldest first.

    Raises:
        StoreError: there is none, or some bytes are not those that were published.
        ContractError: one breaks the contract.
    """
    storage = Storage(store)
    newest = {
        manifest["as_of"]: (path, manifest) for path, manifest in manifests(storage, f"forecasts/{panel}")
    }
    frames = [_read_committed(storage, *newest[label], unique_id=unique_id) for label in sorted(newest)]
    found = [frame for frame in frames if len(frame)]
    if not found:
        raise StoreError(
            f"no forecast of series {unique_id!r} of panel {panel!r} in {storage.uri}; check the id"
        )
    return pd.concat(found, ignore_index=True)


def _read_committed(
    storage: Storage, folder: str, manifest: dict[str, Any], unique_id: str | None = None
) -> pd.DataFrame:
    return _read(storage, f"{folder}{FORECAST}", manifest["objects"][FORECAST], unique_id)


def _read(storage: Storage, path: str, sha256: str, unique_id: str | None = None) -> pd.DataFrame:
    data = storage.get(path)
    if digest_bytes(data) != sha256:
        raise StoreError(
            f"{path} in {storage.uri} is not what was published: its digest differs; publish it again"
        )
    table = contract.from_bytes(data, path)
    if unique_id is not None:
        table = table.filter(pc.equal(table["unique_id"], unique_id))
    return table.to_pandas()
