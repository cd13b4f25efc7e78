"""Maintenance: clean up a panel's part of the store, and show the result in the Prefect UI."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from prefect import task

from forecasting.operations.landing_page import try_update_landing_page
from forecasting.operations.maintenance import MaintenanceReport, maintain, maintenance_rows
from forecasting.panel import Panel
from forecasting.storage import Storage
from tasks.artifacts import show_table
from tasks.options import STEP

_log = logging.getLogger(__name__)

# Artifacts are stored in Prefect's database, which maintenance keeps small.
_SHOWN = 100


@task(name="maintain panel", task_run_name="maintain {panel}", **STEP)
def maintain_panel(panel: str, panels: str | None, store: str, *, dry_run: bool) -> MaintenanceReport:
    """Remove what the panel's `[retention]` allows to remove, and compact its tables."""
    settings = Panel.load(panel, panels)  # here, so that a bad panel file fails only its own panel
    storage, now = Storage(store), datetime.now(UTC)
    done = maintain(settings, storage, now, dry_run=dry_run)
    if not dry_run:
        try_update_landing_page(settings, storage, now)
    for one in done.removed:
        _log.info("maintenance: %s %s, %s", "would remove" if dry_run else "removed", one.folder, one.why)
    _log.info("maintenance: %s has %d forecasts, %d models", panel, done.forecasts, done.versions)
    return done


@task(name="show maintenance", **STEP)
def show_maintenance(done: Mapping[str, MaintenanceReport | str], runs: int | str, *, dry_run: bool) -> None:
    """Create a table artifact of what was removed and kept. A text instead of a result is why it failed."""
    rows = []
    for panel, one in done.items():
        rows += _failed(panel, one) if isinstance(one, str) else maintenance_rows(one, _SHOWN)
    rows += (
        _failed("(Prefect)", runs)
        if isinstance(runs, str)
        else [{"panel": "(Prefect)", "what": "old runs", "why": f"runs: {runs}", "where": ""}]
    )
    show_table(
        "maintenance",
        rows,
        "What would be removed (dry run: nothing was)" if dry_run else "What was removed and kept",
    )


def _failed(panel: str, why: str) -> list[dict[str, str]]:
    return [{"panel": panel, "what": "FAILED", "why": why, "where": ""}]
