"""Reading forecasts: the way in for a downstream job.

Each function returns a DataFrame whose bytes match the digest in the manifest that committed it, in the
columns of the contract. Reading makes nothing, not even the folder of a store that is not there.
"""

import difflib
from datetime import date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecasting import contract
from forecasting.as_of import as_of_label, parse_as_of, to_datetime, to_instant
from forecasting.commands import command
from forecasting.digests import digest_bytes
from forecasting.errors import StoreError
from forecasting.prices.schema import INSTANT
from forecasting.publishing.address import FORECAST, MANIFEST, as_of_folder, forecasts_folder, latest_pointer
from forecasting.publishing.manifest import Published
from forecasting.publishing.publish import find_pointer, find_published
from forecasting.storage import Storage

# What a frame's `attrs` tell of its forecast, from the manifest.
ATTRIBUTES = (
    *("panel", "as_of", "forecast_id", "origin", "provisional", "known_at", "published_at"),
    *("model", "model_version", "backtest_skill"),
)
_INTRADAY = "1min"  # how an `as_of` of any intraday panel is written
_AS_OF = "as_of="
_NAMED = 5  # series that an error names


def latest(panel: str, store: str | None = None) -> pd.DataFrame:
    """The newest forecast of `panel`; `store` is its URI (default: `NIGHTCAST_STORE`, or `./store`).

    `attrs` of the frame has its `ATTRIBUTES`.

    Raises:
        StoreError: there is none, or its bytes are not those that were published.
        ContractError: it breaks the contract.
    """
    storage = Storage(store, must_exist=True)
    pointer = find_pointer(storage, panel)
    if pointer is None:
        raise _nothing(storage, panel)
    folder = pointer.path.removesuffix(FORECAST)
    committed = dict(find_published(storage, folder.rstrip("/")))
    if folder not in committed:
        raise StoreError(
            f"{storage.display(folder)} is no forecast, though {latest_pointer(panel)} names it: "
            f"its manifest is missing or damaged; {_again(storage, panel, pointer.as_of)}"
        )
    return _read(storage, folder, committed[folder])


def as_of(panel: str, when: date | str, store: str | None = None) -> pd.DataFrame:
    """The newest committed forecast of `panel` for one `as_of`.

    `when` is a date, or text as in paths; of an intraday panel a time (in UTC if it says nothing else), or a
    date for the last `as_of` on it. `attrs` of the frame has its `ATTRIBUTES`.

    Raises:
        NightcastError: `when` is text, and neither a date nor a time.
        StoreError: there is none, or its bytes are not those that were published.
        ContractError: it breaks the contract.
    """
    storage = Storage(store, must_exist=True)
    labels = _labels(storage, panel)
    if not labels:
        raise _nothing(storage, panel)
    label = _label(when, labels)
    committed = find_published(storage, as_of_folder(panel, label))
    if not committed:
        raise StoreError(
            f"no forecast of panel {panel!r} as of {label} in {storage.uri}; "
            f"{_nearest(storage, panel, label, labels)}{_again(storage, panel, label)}"
        )
    return _read(storage, *committed[-1])


def history(panel: str, unique_id: str, store: str | None = None) -> pd.DataFrame:
    """Every `as_of`'s newest committed forecast of one series, oldest first.

    Besides the columns of the contract it has `as_of` (timestamp, UTC) and `origin` (`live` or `backfill`)
    of the forecast that a row is from.

    Raises:
        StoreError: there is none, or some bytes are not those that were published.
        ContractError: one breaks the contract.
    """
    storage = Storage(store, must_exist=True)
    newest = {
        published.as_of: (path, published)
        for path, published in find_published(storage, forecasts_folder(panel))
    }
    if not newest:
        raise _nothing(storage, panel)
    kept = [newest[label] for label in sorted(newest)]
    data = storage.find_all([f"{folder}{FORECAST}" for folder, _ in kept])
    tables = [
        _series(_checked(storage, *pair, one), pair[1], unique_id)
        for pair, one in zip(kept, data, strict=True)
        if one is not None or not _is_gone(storage, pair[0])
    ]
    found = pa.concat_tables(tables) if tables else None
    if not found:
        raise _no_series(storage, panel, unique_id, *kept[-1])
    return found.to_pandas()


def _read(storage: Storage, folder: str, published: Published) -> pd.DataFrame:
    frame = _table(storage, folder, published).to_pandas()
    frame.attrs = {name: getattr(published, name) for name in ATTRIBUTES}
    return frame


def _is_gone(storage: Storage, folder: str) -> bool:
    """Whether a forecast was removed a moment ago, as too old: then it has no manifest either."""
    return storage.find(f"{folder}{MANIFEST}") is None


def _series(table: pa.Table, published: Published, unique_id: str) -> pa.Table:
    """A series' rows of one forecast, and which forecast that is."""
    rows = table.filter(pc.equal(table["unique_id"], unique_id)).replace_schema_metadata()
    as_of = pa.scalar(to_datetime(_instant(published.as_of)), INSTANT)
    origin = pa.scalar(published.origin, pa.string())
    return rows.append_column("as_of", pa.repeat(as_of, len(rows))).append_column(
        "origin", pa.repeat(origin, len(rows))
    )


def _table(storage: Storage, folder: str, published: Published) -> pa.Table:
    return _checked(storage, folder, published, storage.find(f"{folder}{FORECAST}"))


def _checked(storage: Storage, folder: str, published: Published, data: bytes | None) -> pa.Table:
    """The forecast in a folder, with a `/`, if these bytes of it are those that its manifest names."""
    where = storage.display(f"{folder}{FORECAST}")
    # What a run makes of a past date from revised prices is another one, which counts once this one is gone.
    again = f"{_again(storage, published.panel, published.as_of)}; if it is still so then, remove its folder"
    if data is None:
        raise StoreError(f"{where} is missing, though its manifest names it; {again}")
    if digest_bytes(data) != published.digest:
        raise StoreError(f"{where} is not what was published: its digest differs; {again}")
    return contract.from_bytes(data, where)


def _again(storage: Storage, panel: str, label: str) -> str:
    return f"run: {command('run', panel, '--as-of', label, store=storage.uri)}"


def _nothing(storage: Storage, panel: str) -> StoreError:
    """For a panel without a forecast."""
    others = ", ".join(storage.names(forecasts_folder("").rstrip("/")))
    listing = f"it has forecasts of: {others}" if others else "it has none of any panel"
    first = command("run", panel, store=storage.uri)
    return StoreError(f"no forecast of panel {panel!r} in {storage.uri}; {listing}; run: {first}")


def _no_series(storage: Storage, panel: str, unique_id: str, folder: str, published: Published) -> StoreError:
    """For a series that no forecast has."""
    if why := published.left_out.get(unique_id):
        hint = f"the one as of {published.as_of} left it out: {why}"
    else:
        ids = pc.unique(_table(storage, folder, published)["unique_id"]).to_pylist()
        near = difflib.get_close_matches(unique_id, ids, n=_NAMED, cutoff=0.5) or ids[:_NAMED]
        hint = f"the one as of {published.as_of} has {len(ids)}, such as {', '.join(near)}"
    return StoreError(f"no forecast of series {unique_id!r} of panel {panel!r} in {storage.uri}; {hint}")


def _labels(storage: Storage, panel: str) -> list[str]:
    """Each `as_of` that has a folder, oldest first."""
    names = storage.names(forecasts_folder(panel))
    return [name.removeprefix(_AS_OF) for name in names if name.startswith(_AS_OF)]


def _freq(label: str) -> str:
    """A frequency whose `as_of` is written like that."""
    return _INTRADAY if "T" in label else "1D"


def _instant(label: str) -> np.datetime64:
    return parse_as_of(label, _freq(label))


def _label(when: date | str, labels: list[str]) -> str:
    """`when` as the panel's paths write it; `labels` are those of its forecasts."""
    freq = _freq(labels[-1])
    if isinstance(when, datetime):
        return as_of_label(to_instant(when), freq)
    text = when if isinstance(when, str) else when.isoformat()
    label = as_of_label(parse_as_of(text, freq), freq)
    is_date = "T" not in text
    return max((one for one in labels if is_date and one.startswith(text)), default=label)


def _nearest(storage: Storage, panel: str, label: str, labels: list[str]) -> str:
    """The nearest `as_of` that has a committed forecast, in words."""
    wanted = _instant(label)
    for near in sorted(labels, key=lambda one: abs(_instant(one) - wanted)):
        if find_published(storage, as_of_folder(panel, near)):
            return f"the nearest is as of {near}; "
    return ""
