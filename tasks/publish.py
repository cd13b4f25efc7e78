"""Publish: commit the forecast with its manifest, and point `latest/` to it."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from prefect import task
from prefect.runtime import flow_run

from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot
from forecasting.publishing.address import ForecastAddress
from forecasting.publishing.decisions import Decision
from forecasting.publishing.forecast import address_of
from forecasting.publishing.manifest import Manifest, describe_forecast
from forecasting.publishing.publish import commit, find_whole
from forecasting.reports.summary import standing_line
from forecasting.storage import Storage
from tasks.announce import show_latest
from tasks.options import STEP

_log = logging.getLogger(__name__)


@task(name="look for this forecast", **STEP)
def find_published(panel: Panel, store: str, snapshot: Snapshot, decision: Decision) -> Manifest | None:
    """Return the manifest of the very forecast that this run would make, where it is published already."""
    storage = Storage(store)
    manifest = find_whole(storage, address_of(panel, snapshot, decision))
    if manifest is not None:
        show_latest(storage, manifest, panel)
        _log.info("publish: %s", standing_line(manifest))
    return manifest


@task(name="publish", **STEP)
def publish(
    panel: Panel,
    store: str,
    address: ForecastAddress,
    snapshot: Snapshot,
    decision: Decision,
    row_findings: Sequence[Finding],
) -> Manifest:
    """Commit the forecast and make `latest` show it; return its manifest."""
    storage = Storage(store)
    described = describe_forecast(panel, snapshot, decision, address, row_findings)
    manifest = commit(storage, replace(described, flow_run_id=flow_run.id), panel)
    shown = show_latest(storage, manifest, panel)
    _log.info(
        "publish: %s, %s", address.folder, "now the latest" if shown else "a later one stays the latest"
    )
    return manifest
