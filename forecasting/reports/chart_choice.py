"""Which series of a forecast get a picture: thousands would be written every night that nobody opens."""

from collections.abc import Mapping, Sequence

from forecasting.panel_settings import ChartSettings
from forecasting.reports.outlook import Outlook

MAX_ALL = 50  # series of a panel of which every one gets a picture
# Artifacts are stored in Prefect's database, so only a few pictures are shown there.
SHOWN = 4


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


def _outlook(outlooks: Mapping[str, Outlook], unique_id: str) -> Outlook:
    return outlooks.get(unique_id, Outlook())
