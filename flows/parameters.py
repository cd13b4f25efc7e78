"""Parameters that flows share, with the help texts that their forms in the Prefect UI show.

A default made by `Field` keeps its help text there; one in `Annotated` would lose it.
"""

from typing import Any

from pydantic import Field

PANEL: Any = Field(description="Which panel: a name, or a path to its TOML file.")
STORE: Any = Field(None, description="The store's URI. Empty: NIGHTCAST_STORE, or ./store.")
PANELS: Any = Field(
    None,
    description="The folder of panel files. Empty: NIGHTCAST_PANELS, or deployments/panels.",
)
