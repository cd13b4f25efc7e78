"""Maintenance of a panel's part of the store: remove what retention does not keep, and compact the tables."""

from dataclasses import dataclass
from datetime import datetime

from forecasting.models.registry import Registry
from forecasting.operations.forecast_retention import Removal, removable_forecasts, remove_forecast
from forecasting.operations.model_retention import removable_versions, remove_version
from forecasting.panel import Panel
from forecasting.prices.compaction import Compaction, compact, sweep
from forecasting.prices.damaged_tables import check_tables
from forecasting.publishing.address import forecasts_folder
from forecasting.publishing.committed import check_forecasts
from forecasting.publishing.publish import find_published
from forecasting.storage import Storage


@dataclass(frozen=True)
class MaintenanceReport:
    """The result of maintaining a panel's part of the store.

    Attributes:
        panel: the panel's name.
        removed: the removed folders; in a dry run, those that would be removed.
        forecasts: number of committed forecasts left.
        versions: number of versions of the panel's model left.
        compactions: the tables that were rewritten.
        swept: for each other table, its path and the number of replaced files that were deleted.
    """

    panel: str
    removed: tuple[Removal, ...]
    forecasts: int
    versions: int
    compactions: tuple[Compaction, ...] = ()
    swept: tuple[tuple[str, int], ...] = ()


def maintain(panel: Panel, storage: Storage, now: datetime, *, dry_run: bool = False) -> MaintenanceReport:
    """Remove what `[retention]` does not keep, and compact the tables. A dry run only lists what would go.

    Runs and readers of the panel may work at the same time. `now` is in UTC.

    Raises:
        StoreError: the pointer, a file of a table or a published forecast is damaged, or a table was not
            written by this package. What needs no damaged file is done nevertheless.
        ModelError: a decision is damaged.
    """
    old = removable_forecasts(panel, storage, now)
    if not dry_run:
        old = [one for one in old if remove_forecast(storage, panel, one, now)]
    unused = removable_versions(panel, storage, now, without=old)
    if not dry_run:
        unused = [one for one in unused if remove_version(panel, storage, one, now)]
    going = len([one for one in old if one.what != "unfinished forecast"]) if dry_run else 0
    left = len(find_published(storage, forecasts_folder(panel.name))) - going
    versions = len(Registry(storage, panel.name).versions()) - (len(unused) if dry_run else 0)
    if dry_run:
        return MaintenanceReport(panel.name, (*old, *unused), left, versions)
    check_tables(panel, storage)  # a compaction would give what it read of a damaged file a new digest
    compactions = compact(storage, panel.name)
    swept = sweep(storage, panel.name)
    check_forecasts(panel, storage)
    return MaintenanceReport(
        panel.name, (*old, *unused), left, versions, tuple(compactions), tuple(swept.items())
    )


def maintenance_rows(report: MaintenanceReport, at_most: int) -> list[dict[str, str]]:
    """Return the result as a table's rows, with the columns panel, what, why and where.

    At most `at_most` removals have a row; one more row then says how many are not shown.
    """
    shown, more = report.removed[:at_most], len(report.removed[at_most:])
    rows = [
        ("kept", "", f"forecasts: {report.forecasts}, models: {report.versions}"),
        *((one.what, one.folder, one.why) for one in shown),
        *([("and more", "", f"folders: {more}")] if more else []),
        *(
            ("compacted", one.table, f"from {one.files_before} files to {one.files_after}")
            for one in report.compactions
        ),
        *(("swept", table, f"{count} replaced files deleted") for table, count in report.swept),
    ]
    return [{"panel": report.panel, "what": what, "why": why, "where": where} for what, where, why in rows]
