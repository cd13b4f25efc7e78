"""The manifest's facts beyond its address and digests: what went into a forecast and what to think of it."""

from collections.abc import Sequence
from typing import Any

from forecasting.findings import Finding
from forecasting.models.registry import Decision
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot


def manifest_record(
    panel: Panel,
    snapshot: Snapshot,
    decision: Decision,
    row_findings: Sequence[Finding],
    flow_run_id: str | None,
) -> dict[str, Any]:
    """The facts, JSON-able. `row_findings` are the ingest's; the snapshot has the audit's own."""
    verdict = decision.verdict
    published = [row for row in verdict.get("table", ()) if row["candidate"] == verdict["publishes"]]
    return {
        "origin": snapshot.origin,
        "provisional": snapshot.provisional or None,
        "flow_run_id": flow_run_id,
        "known_at": snapshot.known_at,
        "price_version": snapshot.price_version,
        "rows_digest": snapshot.rows_digest,
        "series": len(snapshot.ids),
        "rows": len(snapshot.ids) * panel.forecast.horizon,
        "backtest_skill": published[0]["skill"] if published else None,
        "left_out": snapshot.left_out,
        "findings": [finding.to_record() for finding in (*row_findings, *snapshot.findings)],
        "model": decision.model,
        "model_version": decision.version,
        "decision": decision.to_record(),
    }
