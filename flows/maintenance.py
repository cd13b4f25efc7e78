"""Maintenance: remove what is no longer needed from the store and from Prefect's database."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from prefect import State, flow
from pydantic import Field

from flows.hooks import ALARMED
from flows.parameters import ALL, PANELS, STORE
from flows.run_names import day_of, run_name
from forecasting.errors import NightcastError, one_line
from forecasting.panel import Panel
from forecasting.storage import Storage
from tasks.maintenance import maintain_panel, show_maintenance
from tasks.run_retention import remove_old_runs


@flow(name="maintenance", flow_run_name=run_name(day_of, "maintenance"), **ALARMED)
def maintenance(
    *,
    only_panel: str | None = Field(
        None, description="Only this panel: its name, or a path to its TOML file. Empty: all panels."
    ),
    dry_run: bool = Field(default=False, description="Only list what would be removed, and change nothing."),
    keep_runs_days: Annotated[int, Field(ge=7, le=3650)] = Field(
        90,
        description="Remove runs that ended longer ago than this many days from Prefect, with their logs and "
        "artifacts. Forecasts are kept as long as [retention] of the panel says.",
    ),
    store: str | None = STORE,
    panels: str | None = PANELS,
) -> dict[str, Any]:
    """Remove old forecasts, models and runs that nothing needs, and compact the price tables.

    `[retention]` of each panel says how long its forecasts and models are kept. This flow is safe while other
    runs are at work.
    """
    names = [only_panel] if only_panel else Panel.names(panels)
    root = Storage(store).uri
    before = datetime.now(UTC) - timedelta(days=keep_runs_days)

    states = {name: maintain_panel(name, panels, root, dry_run=dry_run, return_state=True) for name in names}
    runs = remove_old_runs(_tags(only_panel, names), before, dry_run=dry_run, return_state=True)
    done = {name: _result(state) for name, state in states.items()}
    show_maintenance(done, _result(runs), dry_run=dry_run)
    _stop_if_failed({**done, "old runs": _result(runs)})
    return {name: len(one.removed) for name, one in done.items()}


def _tags(only_panel: str | None, names: list[str]) -> list[str]:
    """The tags of the runs of these panels' deployments, and of the deployments for all panels."""
    return [f"panel:{Path(name).stem}" for name in [*names, *([] if only_panel else [ALL])]]


def _result(state: State[Any]) -> Any:
    """The result of a task, or one line with the reason it failed."""
    found = state.result(raise_on_failure=False)
    return one_line(found) if isinstance(found, BaseException) else found


def _stop_if_failed(done: dict[str, Any]) -> None:
    failed = [f"{name} ({why})" for name, why in done.items() if isinstance(why, str)]
    if failed:
        raise NightcastError(
            f"maintenance failed for {len(failed)} of {len(done)}, and was done for the others: "
            + "; ".join(failed)
        )
