"""Required series: the series that `[forecast].required` names must be in every night's forecast."""

from forecasting.errors import RequiredSeriesError
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot


def check_required_series(panel: Panel, snapshot: Snapshot) -> None:
    """Check that a published forecast has every series that the panel requires.

    Args:
        panel: the panel.
        snapshot: the prices from which the forecast was made.

    Raises:
        RequiredSeriesError: the forecast lacks required series; the message names each one, and why.
    """
    given = set(snapshot.ids)
    lacking = [
        f"{unique_id} ({snapshot.left_out.get(unique_id, 'the prices have no such series')})"
        for unique_id in panel.forecast.required
        if unique_id not in given
    ]
    if lacking:
        where = panel.file or f"panel {panel.name}"
        raise RequiredSeriesError(
            f"the forecast of {panel.name} as of {snapshot.as_of} is published, but lacks "
            f"{len(lacking)} of its {len(panel.forecast.required)} required series: {', '.join(lacking)}; "
            f"correct the source, or [forecast].required in {where}"
        )
