"""The summary of a run: the report's contents, gathered from a forecast, its decision and its findings."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from forecasting import __version__, contract
from forecasting.as_of import to_datetime
from forecasting.errors import ModelError
from forecasting.findings import Action, Finding
from forecasting.models.baselines import BASELINES
from forecasting.models.registry import Decision, Registry
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot
from forecasting.publishing.publish import FORECAST, ForecastAddress, chart_name
from forecasting.reports.charts import draw_loss_curve
from forecasting.reports.report import MAX_EMBEDDED_CHARTS, Contender, LeftOut, ReportData, SeriesResult
from forecasting.reports.score_summary import summarise_scores
from forecasting.reports.summary import gate_lines, provisional_line
from forecasting.scoring.track_record import try_tally
from forecasting.selection.gate import BEST, CHAMPION
from forecasting.storage import Storage


def gather_report(
    panel: Panel,
    storage: Storage,
    snapshot: Snapshot,
    decision: Decision,
    address: ForecastAddress,
    row_findings: Sequence[Finding],
) -> ReportData:
    """Everything the report says. `row_findings` are the ingest's; the snapshot has the audit's own.

    Raises:
        StoreError: the forecast is not in the store.
    """
    table = contract.from_bytes(storage.get(address.path(FORECAST)), address.path(FORECAST))
    findings = (*row_findings, *snapshot.findings)
    as_of = panel.instant(snapshot.as_of)
    return ReportData(
        panel=panel.name,
        as_of=snapshot.as_of,
        known_at=to_datetime(np.datetime64(snapshot.known_at.removesuffix("Z"))),
        freq=panel.bars.freq,
        horizon=panel.forecast.horizon,
        model=decision.model,
        model_version=decision.version,
        verdict=decision.reason,
        series=_series(storage, table, decision, address),
        contenders=contenders(decision),
        gate=" ".join(gate_lines(decision.to_record())),
        findings=findings,
        left_out=[LeftOut(name, why) for name, why in sorted(snapshot.left_out.items())],
        warnings=_warnings(snapshot, decision, findings),
        facts={
            "forecast_id": address.forecast_id,
            "Price table version": str(snapshot.price_version),
            "Digest of the price rows": snapshot.rows_digest,
            "Digest of the panel": panel.digest,
            "Decided as of": decision.as_of,
            "Package version": __version__,
        },
        loss_curve=_loss_curve(Registry(storage, panel.name), decision.challenger),
        scores=summarise_scores(panel, try_tally(storage, panel.name, until=as_of)),
    )


def contenders(decision: Decision) -> list[Contender]:
    """What each candidate was worth on the holdout, as the gate saw it."""
    verdict = decision.verdict
    return [_contender(score, decision, verdict["publishes"]) for score in verdict.get("table", ())]


def _contender(score: dict[str, Any], decision: Decision, publishes: str) -> Contender:
    name = score["candidate"]
    roles = {CHAMPION: "champion", BEST: "best on record"} | dict.fromkeys(BASELINES, "baseline")
    challenger = decision.verdict["table"][0][
        "candidate"
    ]  # the others are networks of the same kind, or walks
    return Contender(
        role=roles.get(name, "challenger"),
        model=name if name in BASELINES else challenger,
        version=decision.verdict.get("versions", {}).get(name, ""),
        publishes=name == publishes,
        scaled_quantile_loss=score["scaled_quantile_loss"],
        skill=score["skill"],
        mase=score["mase"],
        coverage_80=score["coverage_80"],
        coverage_90=score["coverage_90"],
    )


def _loss_curve(registry: Registry, version: str) -> bytes | None:
    """The loss by training step of a version, PNG; None where nothing was trained."""
    try:
        history = registry.metadata(version)["history"]
    except ModelError:  # no training window fits into the history, so that version was never trained
        return None
    return draw_loss_curve(history) if history["step"] else None


def _series(
    storage: Storage, table: pa.Table, decision: Decision, address: ForecastAddress
) -> list[SeriesResult]:
    ends = table.filter(pa.compute.equal(table["h"], pa.compute.max(table["h"]))).to_pylist()
    holdout = decision.verdict.get("series", {})
    results = []
    for number, row in enumerate(ends):
        measured = holdout.get(row["unique_id"], {})
        chart = address.chart(row["unique_id"])
        results.append(
            SeriesResult(
                unique_id=row["unique_id"],
                cutoff=row["cutoff"],
                y_cutoff=row["y_cutoff"],
                median=row["q50"],
                low=row["q10"],
                high=row["q90"],
                model=row["model"],
                skill=measured.get("skill"),
                coverage_80=measured.get("coverage_80"),
                coverage_90=measured.get("coverage_90"),
                chart_file=chart_name(row["unique_id"]),
                chart=storage.find(chart) if number < MAX_EMBEDDED_CHARTS else None,
            )
        )
    return results


def _warnings(snapshot: Snapshot, decision: Decision, findings: Sequence[Finding]) -> list[str]:
    """What the reader must know before anything else."""
    warnings = [provisional_line(snapshot.provisional)] if snapshot.provisional else []
    warnings += [finding.detail for finding in findings if finding.code.startswith("P2")]
    if decision.model in BASELINES:
        warnings.append(f"A baseline stands in for the model: {decision.reason}")
    refused = sum(finding.rows for finding in findings if finding.action == Action.REFUSE)
    if refused:
        warnings.append(f"{refused} rows of the source were refused; the findings say which and why.")
    return warnings
