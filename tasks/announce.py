"""Announce: the forecast that `latest/` shows from now on, and a baseline that begins to stand in."""

from typing import Any

from forecasting.models.baselines import BASELINES
from forecasting.publishing.publish import FORECAST, ForecastAddress, latest_manifest, point_latest
from forecasting.storage import Storage
from tasks.events import PUBLISHED, STANDS_IN, alarm, emit


def show_latest(storage: Storage, manifest: dict[str, Any]) -> bool:
    """Point `latest/` at a forecast, and announce it where that is news; whether `latest/` shows it now.

    A backfilled one is no news, even where `latest/` comes to show it: that is past already.
    """
    before = latest_manifest(storage, manifest["panel"])
    shown = point_latest(storage, manifest)
    is_new = before is None or before["forecast_id"] != manifest["forecast_id"]
    if shown and is_new and not _is_backfilled(manifest):
        _announce(storage, manifest)
        told = before is not None and before["model"] in BASELINES and not _is_backfilled(before)
        if manifest["model"] in BASELINES and not told:
            _tell_of_stand_in(manifest)
    return shown


def _is_backfilled(manifest: dict[str, Any]) -> bool:
    return bool(manifest["origin"] == "backfill")


def _announce(storage: Storage, manifest: dict[str, Any]) -> None:
    address = ForecastAddress(manifest["panel"], manifest["as_of"], manifest["forecast_id"])
    facts = ("as_of", "forecast_id", "model", "model_version", "origin", "published_at")
    payload = {
        **{name: manifest[name] for name in facts},
        "provisional": manifest.get("provisional"),
        "store": storage.uri,
        "uri": storage.table_uri(address.path(FORECAST)),
        "sha256": manifest["objects"][FORECAST],
    }
    emit(PUBLISHED, manifest["panel"], payload)


def _tell_of_stand_in(manifest: dict[str, Any]) -> None:
    panel, model, reason = manifest["panel"], manifest["model"], manifest["decision"]["reason"]
    text = f"Nightcast: from {manifest['as_of']} on, the baseline {model} stands in on {panel}: {reason}"
    known = {"model": model, "reason": reason, "as_of": manifest["as_of"]}
    alarm(STANDS_IN, panel, text, {**known, "forecast_id": manifest["forecast_id"]})
