"""Parameters that flows share, with the help texts of their forms in the Prefect UI.

The form shows the description of a `Field` default; it would not show one in `Annotated`.
"""

from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from pydantic import Field

from forecasting.as_of import to_instant
from forecasting.panel import Panel

ALL = "all"

PANEL: Any = Field(description="The panel: its name, or a path to its TOML file.")
STORE: Any = Field(None, description="The store's URI. Empty: NIGHTCAST_STORE, or ./store.")
PANELS: Any = Field(
    None,
    description="The folder of panel files. Empty: NIGHTCAST_PANELS, or deployments/panels.",
)


def panel_of(parameters: Mapping[str, Any]) -> str:
    """The name of a run's panel, given by name or by file; `ALL` for a run on all panels."""
    return Path(str(parameters.get("panel") or parameters.get("only_panel") or ALL)).stem


def given_as_of(panel: Panel, as_of: date | None, as_of_time: time | None) -> str | None:
    """The `as_of` that a nightly run was given, as paths write it; None if it was not given one."""
    if as_of is None:
        return None
    last = as_of_time or (time(23, 59) if panel.bars.intraday else time(0))
    return panel.label(to_instant(datetime.combine(as_of, last)))
