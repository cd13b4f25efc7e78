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
    root, folder = Storage(store).uri, panels_folder(panels).resolve()
    Panel.names(folder)  # report a mistake before Prefect has started
    from deployments.serving import Serving, serve_until_stopped  # noqa: PLC0415 - Prefect takes seconds to import

    serve_until_stopped(Serving(folder, root, port, limit))
