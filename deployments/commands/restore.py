"""`nightcast restore`: rebuild a damaged price table."""

from datetime import UTC, datetime

from deployments.commands.options import PanelName, Panels, Store
from forecasting.as_of import to_instant
from forecasting.commands import command
from forecasting.panel import Panel
from forecasting.prices.restore import restore_prices
from forecasting.storage import Storage


def restore(panel: PanelName, /, *, store: Store = None, panels: Panels = None) -> None:
    """Rebuild a damaged price table from all of its files that are whole, and keep the damaged one aside."""
    settings, storage = Panel.load(panel, panels), Storage(store)
    done = restore_prices(settings, storage, to_instant(datetime.now(UTC)))
    print(f"damaged: {', '.join(map(str, done.damage))}")
    print(f"kept aside: {storage.display(done.aside)}")
    print(f"restored: {done.rows} rows from {done.files} files")
    if done.lost is None:
        print("lost: unknown, as the table's log is damaged")
    elif done.lost:
        print(f"lost: {done.lost} rows; their bars are among those from {', '.join(done.ranges)}")
    else:
        print("lost: nothing")
    print(f"next, read the whole source again: {command('ingest', settings, store=storage.uri)}")
