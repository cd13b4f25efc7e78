"""`nightcast serve`: all panels' deployments on this machine."""

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
            help="For the Prefect server that is started where none is configured.",
            validator=validators.Number(gte=1, lte=65535),
        ),
    ] = 4200,
    limit: Annotated[
        int | None,
        Parameter(
            help="How many runs go on at once, those that wait counted. Default: three a panel, and two.",
            validator=validators.Number(gte=1),
        ),
    ] = None,
) -> None:
    """Run every panel on its schedule on this machine, with a Prefect server if none is configured."""
    known, root = Panel.load_all(panels), Storage(store).uri  # a mistake is told before Prefect has started
    from deployments.serving import Serving, serve_until_stopped  # noqa: PLC0415 - Prefect takes seconds to import

    serving = Serving(
        panels=known,
        store=root,
        folder=str(panels_folder(panels).resolve()),
        limit=limit or default_limit(len(known)),
    )
    serve_until_stopped(serving, port)


def default_limit(panels: int) -> int:
    """How many runs go on at once by default, of so many panels.

    A panel has one run that works, but others may wait for it, for its source, or make a long backfill; and
    what has a place must not keep other panels' nights, nor the freshness that would tell of them, from one.
    """
    return 3 * panels + 2
