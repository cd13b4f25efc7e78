"""Announce: emit events when `latest/` shows a new forecast, and when a baseline begins to stand in."""

from forecasting.models.baselines import BASELINES
from forecasting.panel import Panel
from forecasting.publishing.address import FORECAST, REPORT
from forecasting.publishing.manifest import Manifest
from forecasting.publishing.public_links import public_link
from forecasting.publishing.publish import latest_manifest, point_latest
from forecasting.reports.report_warnings import find_warnings
from forecasting.storage import Storage
from tasks.events import PUBLISHED, STANDS_IN, alarm, emit


def show_latest(storage: Storage, manifest: Manifest, panel: Panel | None = None) -> bool:
    """Point `latest/` at a forecast, and announce it where it is new; return whether `latest/` shows it now.

    A backfilled forecast is not announced, even where `latest/` comes to show it: it is for a past date.
    """
    before = latest_manifest(storage, manifest.panel)
    shown = point_latest(storage, manifest, panel)
    is_new = before is None or before.forecast_id != manifest.forecast_id
    if shown and is_new and not manifest.is_backfilled:
        _announce(storage, manifest)
        told = before is not None and before.model in BASELINES and not before.is_backfilled
        if manifest.model in BASELINES and not told:
            _tell_of_stand_in(storage, manifest)
    return shown


def _announce(storage: Storage, manifest: Manifest) -> None:
    payload = {
        "as_of": manifest.as_of,
        "forecast_id": manifest.forecast_id,
        "model": manifest.model,
        "model_version": manifest.model_version,
        "origin": manifest.origin,
        "published_at": manifest.published_at,
        "provisional": manifest.provisional,
        "store": storage.uri,
        "uri": storage.table_uri(manifest.address.path(FORECAST)),
        "sha256": manifest.digest,
        "report_url": public_link(manifest.address.path(REPORT)),
        "warnings": find_warnings(storage, manifest),
    }
    emit(PUBLISHED, manifest.panel, payload)


def _tell_of_stand_in(storage: Storage, manifest: Manifest) -> None:
    panel, model = manifest.panel, manifest.model
    reason = manifest.decision.reason if manifest.decision else ""
    text = f"Nightcast: from {manifest.as_of} on, the baseline {model} publishes for {panel}: {reason}"
    known = {
        "model": model,
        "reason": reason,
        "as_of": manifest.as_of,
        "forecast_id": manifest.forecast_id,
        "report_url": public_link(manifest.address.path(REPORT)),
        "warnings": find_warnings(storage, manifest),
    }
    alarm(STANDS_IN, panel, text, known)
