"""`nightcast run` and `nightcast demo`: run the nightly flow once."""

import shlex
import shutil
import sys

from deployments import environment, terminal
from deployments.commands.options import AsOf, Mode, PanelName, Panels, Store
from forecasting.panel import Panel
from forecasting.storage import Storage


def run(
    panel: PanelName,
    /,
    *,
    as_of: AsOf = None,
    mode: Mode = "auto",
    store: Store = None,
    panels: Panels = None,
) -> None:
    """Run the nightly flow once: ingest, audit, retrain or load, forecast, draw, report, publish."""
    settings = Panel.load(panel, panels)  # report mistakes in it at once, not after Prefect has started
    instant = settings.instant(as_of) if as_of else None
    storage = Storage(store)
    from deployments.prefect_run import run_nightly  # noqa: PLC0415 - Prefect takes seconds to import

    terminal.print_run(storage, run_nightly(panel, panels, storage.uri, instant, mode))


def demo(*, store: Store = None) -> None:
    """Run the bundled panel, from the raw file to charts, and say where to look."""
    print("The euro's exchange rates, from the file that the ECB publishes to 72-day forecasts with charts.")
    run("ecb_fx", store=store, panels=str(environment.BUNDLED_PANELS))
    # `make demo` leaves the program where no shell looks for it.
    program = "nightcast" if shutil.which("nightcast") else sys.argv[0]
    words = [program, "open", "ecb_fx", *(["--store", store] if store else [])]
    print(f"\nTo look at it, run: {shlex.join(words)}")
