"""Read published forecasts: the entry point for downstream jobs.

Each function returns a DataFrame in the columns of the contract (`docs/contract.md`), and checks the bytes
against the digest in the forecast's manifest. Reading never writes; it does not create a missing store.
"""

import difflib
from datetime import date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.as_of import as_of_label, parse_as_of, to_datetime, to_instant
from forecasting.commands import command
from forecasting.errors import StoreError
from forecasting.prices.schema import INSTANT
from forecasting.publishing.address import FORECAST, MANIFEST, as_of_folder, forecasts_folder, latest_pointer
from forecasting.publishing.committed import read_forecast, verified_table
from forecasting.publishing.manifest import Published
from forecasting.publishing.publish import find_pointer, find_published
from forecasting.storage import Storage

# The manifest's facts about a forecast that a frame carries in its `attrs`.
ATTRIBUTES = (
    *("panel", "as_of", "forecast_id", "origin", "provisional", "known_at", "published_at"),
    *("model", "model_version", "backtest_skill"),
)
_INTRADAY = "1min"  # stands for every intraday frequency: all write an `as_of` the same way
_AS_OF = "as_of="
_NAMED = 5  # series named in an error message


def latest(panel: str, store: str | None = None) -> pd.DataFrame:
    """Return the newest forecast of a panel.

    >>> frame = latest("fx")
    >>> frame.query("unique_id == 'EURUSD'")[["ds", "q10", "y_hat", "q90"]].head(2)
                             ds   q10  y_hat   q90
    3 2026-10-31 00:00:00+00:00  1.17   1.25  1.33
    4 2026-11-01 00:00:00+00:00  1.17   1.25  1.33
    >>> frame.attrs["as_of"], frame.attrs["model"]
    ('2026-10-30', 'stacked_lstm')

    Args:
        panel: the panel's name.
        store: the store's URI. Default: `NIGHTCAST_STORE`, or else `./store`.

    Returns:
        One row for each series and step. `attrs` has the forecast's `ATTRIBUTES`.

    Raises:
        StoreError: the panel has no forecast, or its bytes are not those that were published.
        ContractError: the forecast breaks the contract.
    """
    storage = Storage(store, must_exist=True)
    pointer = find_pointer(storage, panel)
    if pointer is None:
        raise _no_forecast(storage, panel)
    folder = pointer.path.removesuffix(FORECAST)
    committed = dict(find_published(storage, folder.rstrip("/")))
    if folder not in committed:
        raise StoreError(
            f"{latest_pointer(panel)} names {storage.display(folder)}, whose manifest is missing or damaged; "
            f"{_run_again(storage, panel, pointer.as_of)}"
        )
    return _read(storage, folder, committed[folder])


def as_of(panel: str, when: date | str, store: str | None = None) -> pd.DataFrame:
    """Return the newest committed forecast of a panel for one `as_of`.

    >>> as_of("fx", "2026-10-29").attrs["as_of"]
    '2026-10-29'

    Args:
        panel: the panel's name.
        when: a date, or text as in paths. For an intraday panel, a time (UTC unless it has a time zone), or a
            date for the last `as_of` on that date.
        store: the store's URI. Default: `NIGHTCAST_STORE`, or else `./store`.

    Returns:
        One row for each series and step. `attrs` has the forecast's `ATTRIBUTES`.

    Raises:
        NightcastError: `when` is text that is neither a date nor a time.
        StoreError: there is no such forecast, or its bytes are not those that were published.
        ContractError: the forecast breaks the contract.
    """
    storage = Storage(store, must_exist=True)
    labels = _labels(storage, panel)
    if not labels:
        raise _no_forecast(storage, panel)
    label = _label(when, labels)
    committed = find_published(storage, as_of_folder(panel, label))
    if not committed:
        raise StoreError(
            f"no forecast of panel {panel!r} as of {label} in {storage.uri}; "
            f"{_nearest(storage, panel, label, labels)}{_run_again(storage, panel, label)}"
        )
    return _read(storage, *committed[-1])


def history(panel: str, unique_id: str, store: str | None = None) -> pd.DataFrame:
    """Return all forecasts of one series: for each `as_of` the newest committed one, oldest first.

    >>> frame = history("fx", "EURUSD")
    >>> frame[["as_of", "origin", "h", "y_hat"]].head(4)
                          as_of origin  h  y_hat
    0 2026-10-29 00:00:00+00:00   live  1   1.25
    1 2026-10-29 00:00:00+00:00   live  2   1.25
    2 2026-10-29 00:00:00+00:00   live  3   1.25
    3 2026-10-30 00:00:00+00:00   live  1   1.25

    Args:
        panel: the panel's name.
        unique_id: the series.
        store: the store's URI. Default: `NIGHTCAST_STORE`, or else `./store`.

    Returns:
        One row for each `as_of` and step. Two columns follow those of the contract: `as_of` (timestamp, UTC)
        and `origin` (`live` or `backfill`) of the row's forecast.

    Raises:
        StoreError: there is no forecast of the series, or some bytes are not those that were published.
        ContractError: a forecast breaks the contract.
    """
    storage = Storage(store, must_exist=True)
    newest = {
        published.as_of: (path, published)
        for path, published in find_published(storage, forecasts_folder(panel))
    }
    if not newest:
        raise _no_forecast(storage, panel)
    kept = [newest[label] for label in sorted(newest)]
    data = storage.find_all([f"{folder}{FORECAST}" for folder, _ in kept])
    tables = [
        _series(verified_table(storage, *pair, one), pair[1], unique_id)
        for pair, one in zip(kept, data, strict=True)
        if one is not None or not _is_gone(storage, pair[0])
    ]
    found = pa.concat_tables(tables) if tables else None
    if not found:
        raise _no_series(storage, panel, unique_id, *kept[-1])
    return found.to_pandas()


def _read(storage: Storage, folder: str, published: Published) -> pd.DataFrame:
    frame = read_forecast(storage, folder, published).to_pandas()
    frame.attrs = {name: getattr(published, name) for name in ATTRIBUTES}
    return frame


def _is_gone(storage: Storage, folder: str) -> bool:
    """Whether retention has just removed a forecast: then its manifest is gone, too."""
    return storage.find(f"{folder}{MANIFEST}") is None


def _series(table: pa.Table, published: Published, unique_id: str) -> pa.Table:
    """A series' rows of one forecast, with the forecast's `as_of` and origin."""
    rows = table.filter(pc.equal(table["unique_id"], unique_id)).replace_schema_metadata()
    as_of = pa.scalar(to_datetime(_instant(published.as_of)), INSTANT)
    origin = pa.scalar(published.origin, pa.string())
    return rows.append_column("as_of", pa.repeat(as_of, len(rows))).append_column(
        "origin", pa.repeat(origin, len(rows))
    )


def _run_again(storage: Storage, panel: str, label: str) -> str:
    return f"run: {command('run', panel, '--as-of', label, store=storage.uri)}"


def _no_forecast(storage: Storage, panel: str) -> StoreError:
    others = ", ".join(storage.names(forecasts_folder("").rstrip("/")))
    listing = f"the store has forecasts of: {others}" if others else "the store has no forecasts at all"
    first = command("run", panel, store=storage.uri)
    return StoreError(f"no forecast of panel {panel!r} in {storage.uri}; {listing}; run: {first}")


def _no_series(storage: Storage, panel: str, unique_id: str, folder: str, published: Published) -> StoreError:
    if why := published.left_out.get(unique_id):
        hint = f"the forecast as of {published.as_of} left the series out: {why}"
    else:
        ids = pc.unique(read_forecast(storage, folder, published)["unique_id"]).to_pylist()
        near = difflib.get_close_matches(unique_id, ids, n=_NAMED, cutoff=0.5) or ids[:_NAMED]
        hint = f"the forecast as of {published.as_of} has {len(ids)} series, such as {', '.join(near)}"
    return StoreError(f"no forecast of series {unique_id!r} of panel {panel!r} in {storage.uri}; {hint}")


def _labels(storage: Storage, panel: str) -> list[str]:
    """The `as_of`s that have a folder, oldest first."""
    names = storage.names(forecasts_folder(panel))
    return [name.removeprefix(_AS_OF) for name in names if name.startswith(_AS_OF)]


def _freq(label: str) -> str:
    """A frequency that writes an `as_of` like `label`."""
    return _INTRADAY if "T" in label else "1D"


def _instant(label: str) -> np.datetime64:
    return parse_as_of(label, _freq(label))


def _label(when: date | str, labels: list[str]) -> str:
    """`when` as a label, in the form of `labels`, which are those of the panel's forecasts."""
    freq = _freq(labels[-1])
    if isinstance(when, datetime):
        return as_of_label(to_instant(when), freq)
    text = when if isinstance(when, str) else when.isoformat()
    label = as_of_label(parse_as_of(text, freq), freq)
    is_date = "T" not in text
    return max((one for one in labels if is_date and one.startswith(text)), default=label)


def _nearest(storage: Storage, panel: str, label: str, labels: list[str]) -> str:
    """A hint that names the nearest `as_of` with a committed forecast; empty if there is none."""
    wanted = _instant(label)
    for near in sorted(labels, key=lambda one: abs(_instant(one) - wanted)):
        if find_published(storage, as_of_folder(panel, near)):
            return f"the nearest forecast is as of {near}; "
    return ""
