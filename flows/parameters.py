"""Parameters that flows share, with the help texts that their forms in the Prefect UI show.

A default made by `Field` keeps its help text there; one in `Annotated` would lose it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

ALL = "all"

PANEL: Any = Field(description="Which panel: a name, or a path to its TOML file.")
STORE: Any = Field(None, description="The store's URI. Empty: NIGHTCAST_STORE, or ./store.")
PANELS: Any = Field(
    None,
    description="The folder of panel files. Empty: NIGHTCAST_PANELS, or deployments/panels.",
)


def panel_of(parameters: Mapping[str, Any]) -> str:
    """The name of the panel that a run is of, be it given so or by its file; or `ALL`."""
    return Path(str(parameters.get("panel") or parameters.get("only_panel") or ALL)).stem
