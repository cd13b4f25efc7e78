"""`nightcast open`: show the landing page or a report in the browser, without a Prefect server."""

import os
import sys
import webbrowser
from typing import Annotated
from urllib.parse import quote

from cyclopts import Parameter

from deployments.commands.options import Panels, Store
from deployments.store_server import store_server
from forecasting.commands import command
from forecasting.errors import StoreError
from forecasting.panel import Panel
from forecasting.publishing.address import INDEX, REPORT, forecasts_folder
from forecasting.publishing.public_links import public_link
from forecasting.publishing.publish import find_pointer
from forecasting.storage import Storage


def open_(
    panel: Annotated[
        str | None, Parameter(help="A panel's name, or a path to its TOML file. Default: all panels.")
    ] = None,
    /,
    *,
    print_only: Annotated[
        bool, Parameter(name="--print", help="Print where the page is, and open no browser.", negative="")
    ] = False,
    store: Store = None,
    panels: Panels = None,
) -> None:
    """Open the page over all panels and dates, or a panel's newest report, in the browser.

    A store that is not on this machine, and has no public address, is served on this machine until Ctrl-C.
    """
    storage = Storage(store, must_exist=True)
    path = _landing_page(storage) if panel is None else _newest_report(storage, panel, panels)
    is_shown = not print_only and _has_display()
    if storage.local_root is not None:
        print(storage.display(path))
        _show((storage.local_root / path).as_uri(), is_shown=is_shown)
    elif address := public_link(path):
        print(address)
        _show(address, is_shown=is_shown)
    elif print_only:
        print(storage.display(path))
    else:
        _serve(storage, path, is_shown=is_shown)


def _landing_page(storage: Storage) -> str:
    if INDEX in storage.names(""):
        return INDEX
    published = _published(storage)
    if not published:
        raise StoreError(f"nothing is published in {storage.uri} yet; run a panel first, or check --store")
    update = command("score", published[0], store=storage.uri)
    raise StoreError(f"{storage.uri} has no {INDEX} yet: the next run writes it, or now: {update}")


def _newest_report(storage: Storage, panel: str, panels: str | None) -> str:
    known = Panel.load(panel, panels) if panel.endswith(".toml") else panel
    name = known if isinstance(known, str) else known.name
    published = _published(storage)
    pointer = find_pointer(storage, known) if name in published else None
    if pointer is None:
        others = f"it has forecasts of: {', '.join(published)}" if published else "it has no forecasts at all"
        raise StoreError(f"no forecast of panel {name!r} in {storage.uri}; {others}")
    if REPORT not in storage.names(pointer.address.folder):
        again = command("run", known, "--as-of", pointer.as_of, store=storage.uri)
        raise StoreError(
            f"{storage.display(pointer.address.path(REPORT))} is missing; delete "
            f"{storage.display(pointer.address.folder)} and run: {again}"
        )
    return pointer.address.path(REPORT)


def _published(storage: Storage) -> tuple[str, ...]:
    """The panels that have forecasts."""
    return storage.names(forecasts_folder("").rstrip("/"))


def _has_display() -> bool:
    """Whether a browser has a screen. Without one, Python would start a text browser in the terminal."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in names)


def _show(address: str, *, is_shown: bool) -> None:
    if is_shown and not webbrowser.open(address):
        print("No browser could be started: open the address above.")


def _serve(storage: Storage, path: str, *, is_shown: bool) -> None:
    """Serve the store to this machine until Ctrl-C."""
    with store_server(storage) as (server, root):
        address = f"{root}{quote(path, safe='/=')}"
        print(f"{address} (Ctrl-C ends it)", flush=True)
        _show(address, is_shown=is_shown)
        server.serve_forever()
