"""Parameters that flows share, with the help texts of their forms in the Prefect UI.

The form shows the description of a `Field` default; it would not show one in `Annotated`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

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
