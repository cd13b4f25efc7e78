"""Retention of forecasts: find and remove the forecasts that a panel's `[retention]` no longer keeps.

Removal takes no lock. It only touches forecasts for an earlier `as_of` than the one that `latest/` shows, and
the pointer never moves back, so it never removes a forecast that a run may point to. The manifest is deleted
first: if a removal is killed, the folder left behind is not a forecast, and the next removal finishes it.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

import pyarrow.compute as pc

from forecasting.panel import Panel
from forecasting.parquet import table_from_bytes
from forecasting.publishing.address import FORECAST, MANIFEST, forecasts_folder
from forecasting.publishing.manifest import Pointer, Published
from forecasting.publishing.publish import find_pointer, find_published
from forecasting.records import instant_of
from forecasting.storage import Storage

# A run may still be working on objects that were written or committed this recently.
AT_WORK = timedelta(days=2)
# Bars may come late: a forecast may still get scores until this long after its last bar.
_LATE = timedelta(days=14)

_FOLDER = re.compile(r"(forecasts/[^/]+/as_of=(\d{4}-\d\d-\d\d)[^/]*/id=[^/]+)/.+")
_DATE = len("YYYY-MM-DD")

What = Literal["old forecast", "superseded forecast", "unfinished forecast", "unused model"]


@dataclass(frozen=True)
class Removal:
    """A folder of the store to remove.

    Attributes:
        what: the kind of its contents.
        folder: the folder's path in the store.
        why: the reason, in words.
    """

    what: What
    folder: str
    why: str


def removable_forecasts(panel: Panel, storage: Storage, now: datetime) -> list[Removal]:
    """Return the forecasts to remove, sorted by path: old, superseded, and never committed by a killed run.

    A forecast is kept while its bars may still arrive, because it may still get scores. `now` is in UTC.

    Raises:
        StoreError: the pointer is damaged, so it is unknown which forecast `latest/` shows.
    """
    pointer = find_pointer(storage, panel)
    written = _written(storage, panel.name)  # listed before the manifests: else a new commit seems unfinished
    committed = find_published(storage, forecasts_folder(panel.name))
    uncommitted = written.keys() - {folder.rstrip("/") for folder, _ in committed}
    # A damaged manifest commits nothing, but its forecast was finished: `check_forecasts` names it.
    unfinished = [folder for folder in uncommitted if storage.find(f"{folder}/{MANIFEST}") is None]
    found = [
        Removal("unfinished forecast", folder, f"last written {written[folder]:%Y-%m-%d}, never committed")
        for folder in unfinished
        if written[folder] < now - AT_WORK and not _shows(pointer, folder)
    ]
    if pointer is not None:
        earlier = [pair for pair in committed if pair[1].as_of < pointer.as_of]
        found += [
            removal
            for removal in _expired(panel, earlier, pointer, now)
            if not _may_be_scored(storage, removal, now)
        ]
    return sorted(found, key=lambda removal: removal.folder)


def remove_forecast(storage: Storage, panel: Panel | str, removal: Removal, now: datetime) -> bool:
    """Remove a forecast's folder. Return False, and remove nothing, if it is in use by now."""
    written = storage.list_times(removal.folder)
    manifest, forecast = (f"{removal.folder}/{name}" for name in (MANIFEST, FORECAST))
    resumed = removal.what == "unfinished forecast" and any(at >= now - AT_WORK for at in written.values())
    if resumed or _shows(find_pointer(storage, panel), removal.folder):
        return False
    storage.delete([manifest])
    storage.delete([forecast])  # before the rest: a run that makes it again must not find half of it
    storage.delete([path for path in written if path not in {manifest, forecast}])
    return True


def _written(storage: Storage, panel: str) -> dict[str, datetime]:
    """The time of the last write to each forecast's folder."""
    newest: dict[str, datetime] = {}
    for path, at in storage.list_times(forecasts_folder(panel)).items():
        if found := _FOLDER.fullmatch(path):
            newest[found[1]] = max(at, newest.get(found[1], at))
    return newest


def _expired(
    panel: Panel, committed: list[tuple[str, Published]], pointer: Pointer, now: datetime
) -> list[Removal]:
    """The committed forecasts that are too old, or were superseded too long ago. `committed` is by rank."""
    keep = panel.retention
    oldest = _date(pointer.as_of) - timedelta(days=keep.forecast_days)
    superseded_until = now - max(timedelta(days=keep.superseded_days), AT_WORK)
    alike: dict[tuple[str, bool], list[tuple[str, Published]]] = defaultdict(list)
    for folder, forecast in committed:  # live and backfilled forecasts are scored, so kept, separately
        alike[forecast.as_of, forecast.is_backfilled].append((folder.rstrip("/"), forecast))
    found = []
    for pairs in alike.values():
        for folder, forecast in pairs:
            published = instant_of(forecast.published_at)
            if _date(forecast.as_of) < oldest and published < now - AT_WORK:
                why = f"more than {keep.forecast_days} days older than the newest, {pointer.as_of}"
                found.append(Removal("old forecast", folder, why))
            elif folder != pairs[-1][0] and published < superseded_until:
                why = f"published {published:%Y-%m-%d}, superseded by {pairs[-1][1].forecast_id}"
                found.append(Removal("superseded forecast", folder, why))
    return found


def _may_be_scored(storage: Storage, removal: Removal, now: datetime) -> bool:
    """Whether some of the forecast's bars may still arrive; False if it cannot be read, so not be scored."""
    data = storage.find(f"{removal.folder}/{FORECAST}")
    if data is None:
        return False
    try:
        last = pc.max(table_from_bytes(data, ["ds"])["ds"]).as_py()
    except ValueError:
        return False
    return bool(last is not None and last > now - _LATE)


def _shows(pointer: Pointer | None, folder: str) -> bool:
    return pointer is not None and pointer.address.folder == folder


def _date(as_of: str) -> date:
    return date.fromisoformat(as_of[:_DATE])
