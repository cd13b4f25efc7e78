"""Options that commands share."""

from typing import Annotated, Literal

from cyclopts import Parameter

PanelName = Annotated[str, Parameter(help="A panel's name, or a path to its TOML file.")]
Store = Annotated[str | None, Parameter(help="The store's URI. Default: NIGHTCAST_STORE, or ./store.")]
Panels = Annotated[
    str | None, Parameter(help="The folder of panel files. Default: NIGHTCAST_PANELS, or deployments/panels.")
]
Mode = Annotated[
    Literal["auto", "retrain", "load"],
    Parameter(help="auto: retrain if retraining is due. retrain: retrain now. load: use the present model."),
]
AsOf = Annotated[
    str | None,
    Parameter(
        help="The last date whose bars may be used (intraday: YYYY-MM-DDTHHMMZ). Default: the newest date."
    ),
]
