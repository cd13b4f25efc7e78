"""Which series of a forecast get a picture: thousands would be written every night that nobody opens."""

import logging
from collections.abc import Mapping, Sequence

from forecasting.findings import name_some
from forecasting.panel import Panel
from forecasting.panel_settings import ChartSettings
from forecasting.prices.snapshot import Snapshot
from forecasting.publishing.address import ForecastAddress
from forecasting.reports.outlook import Outlook, find_outlooks
from forecasting.storage import Storage

MAX_ALL = 50  # series of a panel of which every one gets a picture
# Artifacts are stored in Prefect's database, so only a few pictures are shown there.
SHOWN = 4

_log = logging.getLogger(__name__)


def worth_seeing(ids: Sequence[str], outlooks: Mapping[str, Outlook]) -> list[str]:
    """Return the most nervous series, which the UI's artifact shows; the first ones if none was compared."""
    return sorted(ids, key=lambda unique_id: -(_outlook(outlooks, unique_id).percentile or 0))[:SHOWN]


def pictured(settings: ChartSettings, ids: Sequence[str], outlooks: Mapping[str, Outlook]) -> list[str]:
    """Return the series that get a picture in `_charts/`, in the order of `ids`.

    Every series of a panel of up to 50; in a larger one those worth seeing, and those that the panel names.
    """
    if settings.png == "all" or len(ids) <= MAX_ALL:
        return list(ids)
    chosen = {*worth_seeing(ids, outlooks), *settings.png}
    return [unique_id for unique_id in ids if unique_id in chosen]


def choose_pictures(
    panel: Panel, storage: Storage, snapshot: Snapshot, address: ForecastAddress
) -> list[str]:
    """Return the series of a forecast that get a picture, by the outlook in the forecast's folder.

    Raises:
        StoreError: the outlook is damaged.
    """
    named = () if panel.charts.png == "all" else panel.charts.png
    if unknown := sorted({*named} - {*snapshot.ids}):
        _log.warning("charts: [charts].png names series without a forecast: %s", name_some(unknown, 5))
    return pictured(panel.charts, snapshot.ids, find_outlooks(storage, address))


def _outlook(outlooks: Mapping[str, Outlook], unique_id: str) -> Outlook:
    return outlooks.get(unique_id, Outlook())
