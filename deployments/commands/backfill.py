"""`nightcast backfill`: publish the forecasts that are missing between two dates."""

from datetime import UTC, date, datetime
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from deployments import backfill_lines
from deployments.commands.options import PanelName, Panels, Store
from forecasting.operations.missing import check_dates, find_missing
from forecasting.panel import Panel
from forecasting.storage import Storage


def backfill(
    panel: PanelName,
    /,
    *,
    start: Annotated[date, Parameter(help="The first date to check for a missing forecast, YYYY-MM-DD.")],
    end: Annotated[date, Parameter(help="The last date to check.")],
    dry_run: Annotated[
        bool, Parameter(help="Only list the missing dates, based on the prices in the store.", negative="")
    ] = False,
    force: Annotated[
        bool, Parameter(help="Also make forecasts for dates that have one.", negative="")
    ] = False,
    parallel: Annotated[
        int, Parameter(help="How many forecasts to make at the same time.", validator=Number(gte=1, lte=8))
    ] = 1,
    store: Store = None,
    panels: Panels = None,
) -> None:
    """Publish the forecasts that the schedule should have made, oldest first. Run again for failed dates."""
    settings, storage = Panel.load(panel, panels), Storage(store)
    now = datetime.now(UTC)
    check_dates(start, end, now)  # report mistakes at once, not after Prefect has started
    if dry_run:
        backfill_lines.print_missing(settings, find_missing(settings, storage, start, end, now, force=force))
        return
    from deployments.prefect_run import run_backfill  # noqa: PLC0415 - Prefect takes seconds to import

    with backfill_lines.shown(settings.name):
        done = run_backfill(
            panel=panel,
            start=start,
            end=end,
            force=force,
            parallel=parallel,
            store=storage.uri,
            panels=panels,
        )
    backfill_lines.print_published(settings, done.published, storage.uri)
