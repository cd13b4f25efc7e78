"""`nightcast status`: whether every panel's forecast is fresh, with no server to ask."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from deployments import terminal
from deployments.commands.options import Panels, Store
from forecasting.operations.freshness import assess_all, require_fresh
from forecasting.storage import Storage


def status(
    *,
    max_age: Annotated[
        float | None,
        Parameter(
            validator=Number(gt=0), help="Hours. A forecast published longer ago is stale in any case."
        ),
    ] = None,
    store: Store = None,
    panels: Panels = None,
) -> None:
    """A line for each panel: its forecast, whether that is fresh and, where it is not, why; exit 1 then."""
    limit = None if max_age is None else timedelta(hours=max_age)
    found = assess_all(panels, Storage(store), datetime.now(UTC), limit)
    terminal.print_freshness(found)
    require_fresh(found)
