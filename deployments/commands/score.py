"""`nightcast score`: score published forecasts."""

from datetime import UTC, datetime

from deployments import score_lines
from deployments.commands.options import PanelName, Panels, Store
from forecasting.as_of import to_instant
from forecasting.commands import command
from forecasting.errors import NightcastError
from forecasting.operations.landing_page import try_update_landing_page
from forecasting.panel import Panel
from forecasting.reports.score_summary import summarise_scores
from forecasting.scoring.scorer import score_forecasts
from forecasting.scoring.track_record import read_tally
from forecasting.storage import Storage


def score(panel: PanelName, /, *, store: Store = None, panels: Panels = None) -> None:
    """Score published forecasts with the prices in the store, and print the scores."""
    settings, storage, now = Panel.load(panel, panels), Storage(store), datetime.now(UTC)
    report = score_forecasts(settings, storage, to_instant(now))
    if not report.forecasts:
        raise NightcastError(
            f"{settings.name} has no published forecast in {storage.uri}; "
            f"run: {command('run', settings, store=storage.uri)} (or check --store)"
        )
    try_update_landing_page(settings, storage, now)
    score_lines.print_scores(report, summarise_scores(settings, read_tally(storage, settings.name)))
