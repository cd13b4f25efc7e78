"""`nightcast status`: check that every panel's forecast is fresh, without a Prefect server."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from deployments import terminal
from deployments.commands.options import Panels, Store
from forecasting.operations.freshness import assess_all, freshness_record, require_fresh
from forecasting.storage import Storage


def status(
    *,
    max_age: Annotated[
        float | None,
        Parameter(
            validator=Number(gt=0), help="Hours. A forecast that was published longer ago is always stale."
        ),
    ] = None,
    json: Annotated[
        bool, Parameter(help="Print JSON for machines; docs/contract.md has its keys.", negative="")
    ] = False,
    store: Store = None,
    panels: Panels = None,
) -> None:
    """Print a line per panel: whether its forecast is fresh, and why not. Exit code 1 if one is not."""
    limit = None if max_age is None else timedelta(hours=max_age)
    now = datetime.now(UTC)
    found = assess_all(panels, Storage(store), now, limit)
    if json:
        terminal.print_json(freshness_record(found, now))
    else:
        terminal.print_freshness(found)
    require_fresh(found)
