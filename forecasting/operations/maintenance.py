"""Maintenance of a panel's part of the store: what may go is removed, and its growing tables compacted."""

from dataclasses import dataclass
from datetime import datetime

from forecasting.models.registry import Registry
from forecasting.operations.forecast_retention import Removal, removable_forecasts, remove_forecast
from forecasting.operations.model_retention import removable_versions, remove_version
from forecasting.panel import Panel
from forecasting.prices.compaction import Compaction, compact, sweep
from forecasting.publishing.address import forecasts_folder
from forecasting.publishing.publish import find_published
from forecasting.storage import Storage


@dataclass(frozen=True)
class Upkeep:
    """What became of a panel's part of the store.

    Attributes:
        panel: its name.
        removed: what was removed, or in a dry run what would be.
        forecasts: how many committed forecasts are left; versions: how many versions of its model.
        compactions: the tables that were rewritten.
        swept: how many replaced files of each other table were deleted, by its path.
    """

    panel: str
    removed: tuple[Removal, ...]
    forecasts: int
    versions: int
    compactions: tuple[Compaction, ...] = ()
    swept: tuple[tuple[str, int], ...] = ()


def maintain(panel: Panel, storage: Storage, now: datetime, *, dry_run: bool = False) -> Upkeep:
    """Remove what `[retention]` lets go and compact the tables; in a dry run, only list what would go.

    Runs of the panel at the same time are safe, and so are its readers. `now` is a time in UTC.

    Raises:
        StoreError: the pointer to the newest forecast is damaged, or a table is not ours.
        ModelError: a decision is damaged.
    """
    old = removable_forecasts(panel, storage, now)
    if not dry_run:
        old = [one for one in old if remove_forecast(storage, panel.name, one, now)]
    unused = removable_versions(panel, storage, now, without=old)
    if not dry_run:
        unused = [one for one in unused if remove_version(panel, storage, one, now)]
    going = len([one for one in old if one.what != "unfinished forecast"]) if dry_run else 0
    left = len(find_published(storage, forecasts_folder(panel.name))) - going
    versions = len(Registry(storage, panel.name).versions()) - (len(unused) if dry_run else 0)
    if dry_run:
        return Upkeep(panel.name, (*old, *unused), left, versions)
    compactions = compact(storage, panel.name)
    swept = sweep(storage, panel.name)
    return Upkeep(panel.name, (*old, *unused), left, versions, tuple(compactions), tuple(swept.items()))


def upkeep_rows(upkeep: Upkeep, at_most: int) -> list[dict[str, str]]:
    """What became of a panel's part of the store, as a table's rows: panel, what, why and where.

    Of more than `at_most` removals the last row but those of the tables says how many are not shown.
    """
    shown, more = upkeep.removed[:at_most], len(upkeep.removed[at_most:])
    rows = [
        ("kept", "", f"forecasts: {upkeep.forecasts}, models: {upkeep.versions}"),
        *((one.what, one.folder, one.why) for one in shown),
        *([("and more", "", f"folders: {more}")] if more else []),
        *(
            ("compacted", one.table, f"from {one.files_before} files to {one.files_after}")
            for one in upkeep.compactions
        ),
        *(("swept", table, f"{count} replaced files deleted") for table, count in upkeep.swept),
    ]
    return [{"panel": upkeep.panel, "what": what, "why": why, "where": where} for what, where, why in rows]
