"""`nightcast serve`: run all panels' deployments on this machine."""

from typing import Annotated

from cyclopts import Parameter, validators

from deployments.commands.options import Panels, Store
from forecasting.panel import Panel, panels_folder
from forecasting.storage import Storage


def serve(
    *,
    store: Store = None,
    panels: Panels = None,
    port: Annotated[
        int,
        Parameter(
            help="The port of the Prefect server that is started if none is configured.",
            validator=validators.Number(gte=1, lte=65535),
        ),
    ] = 4200,
    limit: Annotated[
        int | None,
        Parameter(
            help="How many runs may be active, including waiting ones. Default: three per panel, plus two.",
            validator=validators.Number(gte=1),
        ),
    ] = None,
) -> None:
    """Run every panel on its schedule on this machine, with a Prefect server if none is configured."""
    known, broken = Panel.load_all(panels)  # report mistakes before Prefect has started
    root = Storage(store).uri
    from deployments.serving import Serving, serve_until_stopped  # noqa: PLC0415 - Prefect takes seconds to import

    serving = Serving(
        panels=known,
        broken=broken,
        store=root,
        folder=str(panels_folder(panels).resolve()),
        limit=limit or default_limit(len(known)),
    )
    serve_until_stopped(serving, port)


def default_limit(panels: int) -> int:
    """The default limit of simultaneous runs for a number of panels.

    One run of a panel works while others may wait for it or for its source, or make a long backfill. Waiting
    runs must not keep the nightly runs of other panels from starting, nor the freshness run that would report
    them.
    """
    return 3 * panels + 2
