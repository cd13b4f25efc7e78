"""Retrain: train a challenger now, let the gate decide which model publishes, and publish a forecast."""

from datetime import UTC, datetime

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from flows.hooks import SHOWN
from flows.parameters import PANEL, PANELS, STORE
from flows.run_names import aimed_at, run_name
from flows.steps import publish_forecast
from forecasting.night import NightResult
from forecasting.panel import Panel
from forecasting.publishing.decisions import Decision
from forecasting.storage import Storage
from tasks.audit import audit_prices
from tasks.ingest import ingest_prices
from tasks.model import retrain_model
from tasks.panel_slot import panel_slot
from tasks.score import score_forecasts
from tasks.windows import plan_windows


@flow(name="retrain", flow_run_name=run_name(aimed_at, "retrain"), **SHOWN)
def retrain(
    panel: str = PANEL,
    *,
    publish: bool = Field(
        default=True,
        description="Publish a new forecast with the chosen model. Off: the next nightly run does that.",
    ),
    store: str | None = STORE,
    panels: str | None = PANELS,
) -> NightResult | Decision:
    """Ingest, score, audit and train a challenger on the newest prices. The gate picks the publisher.

    Returns what was published, or else the decision. A challenger that was trained on
    exactly these rows before is neither trained nor judged again.
    """
    settings = Panel.load(panel, panels)
    root = Storage(store).uri
    due = flow_run.scheduled_start_time or datetime.now(UTC)

    with panel_slot(settings.name):
        ingested = ingest_prices(settings, root)
        score_forecasts(settings, root, return_state=True)  # its failure does not fail the run
        snapshot = audit_prices(settings, root, None, due)
        if publish:
            return publish_forecast(settings, root, snapshot, "retrain", ingested.findings)
        windows = plan_windows(settings, root, snapshot)
        return retrain_model(settings, root, snapshot, windows)
