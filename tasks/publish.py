"""Publish: commit the forecast with its manifest, and move the pointer to it."""

import logging
from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.runtime import flow_run

from forecasting.findings import Finding
from forecasting.models.registry import Decision
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot
from forecasting.publishing.forecast import address_of
from forecasting.publishing.manifest import manifest_record
from forecasting.publishing.publish import ForecastAddress, commit, find_manifest
from forecasting.reports.summary import standing_line
from forecasting.storage import Storage
from tasks.announce import show_latest
from tasks.policy import STEP

_log = logging.getLogger(__name__)


@task(name="look for this forecast", **STEP)
def find_published(panel: Panel, store: str, snapshot: Snapshot, decision: Decision) -> dict[str, Any] | None:
    """The manifest of the very forecast that this run would make, when it is published already.

    It has `standing` besides: a sentence that says so.
    """
    storage = Storage(store)
    manifest = find_manifest(storage, address_of(panel, snapshot, decision))
    if manifest is None:
        return None
    show_latest(storage, manifest)
    standing = standing_line(manifest)
    _log.info("publish: %s", standing)
    return {**manifest, "standing": standing}


@task(name="publish", **STEP)
def publish(
    panel: Panel,
    store: str,
    address: ForecastAddress,
    snapshot: Snapshot,
    decision: Decision,
    row_findings: Sequence[Finding],
) -> dict[str, Any]:
    """Commit the forecast and make `latest` show it; its manifest."""
    storage = Storage(store)
    record = manifest_record(panel, snapshot, decision, row_findings, flow_run.id)
    manifest = commit(storage, address, record)
    shown = show_latest(storage, manifest)
    _log.info(
        "publish: %s, %s", address.folder, "now the latest" if shown else "a later one stays the latest"
    )
    return manifest
