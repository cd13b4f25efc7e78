"""`nightcast wait`: let a downstream job wait for a forecast, without a Prefect server."""

from datetime import timedelta
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from deployments.commands.options import PanelName, Panels, Store
from forecasting.operations.waiting import wait_for_forecast
from forecasting.panel import Panel
from forecasting.storage import Storage


def wait(
    panel: PanelName,
    /,
    *,
    as_of: Annotated[
        str, Parameter(help="The last date that the forecast must know (intraday: YYYY-MM-DDTHHMMZ).")
    ],
    timeout: Annotated[
        float,
        Parameter(validator=Number(gte=0, lte=10_000), help="Minutes to wait at most. 0: look once."),
    ],
    store: Store = None,
    panels: Panels = None,
) -> None:
    """Wait until the forecast for a date, or a later one, is published. Exit code 1 if it is not."""
    settings = Panel.load(panel, panels)
    wanted = settings.instant(as_of)
    storage = Storage(store, must_exist=True)
    pointer = wait_for_forecast(settings, storage, wanted, timedelta(minutes=timeout))
    note = f" (provisional: {pointer.provisional})" if pointer.provisional else ""
    where = storage.display(pointer.path)
    print(f"{settings.name}: the forecast as of {pointer.as_of} is published{note}: {where}")
