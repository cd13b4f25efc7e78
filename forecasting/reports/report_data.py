"""Gather the report's contents from a forecast, its decision and its findings."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from forecasting import __version__
from forecasting.as_of import to_datetime
from forecasting.errors import ModelError
from forecasting.evaluation.scores import Score
from forecasting.evaluation.verdict import BEST, CHAMPION, Verdict
from forecasting.findings import Finding
from forecasting.formats import format_percent
from forecasting.models.baselines import BASELINES
from forecasting.models.registry import Registry
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot, bars_behind
from forecasting.publishing.address import ForecastAddress, chart_name
from forecasting.publishing.decisions import Decision
from forecasting.publishing.forecast import read_written
from forecasting.reports.chart_choice import pictured
from forecasting.reports.chart_data import SCRIPT_SERIES, ChartData, ChartGrid
from forecasting.reports.outlook import find_outlooks
from forecasting.reports.past_forecasts import find_past
from forecasting.reports.report_contents import Contender, LeftOut, ReportData
from forecasting.reports.report_files import put_charts, put_report
from forecasting.reports.report_warnings import Concerns, make_warnings
from forecasting.reports.score_summary import summarise_scores
from forecasting.reports.series_table import SeriesResult, series_results
from forecasting.reports.summary import gate_lines
from forecasting.scoring.track_record import try_tally
from forecasting.shards import make_shards
from forecasting.storage import Storage


def gather_report(
    panel: Panel,
    storage: Storage,
    snapshot: Snapshot,
    decision: Decision,
    address: ForecastAddress,
    row_findings: Sequence[Finding],
) -> ReportData:
    """Return the report's contents. `row_findings` are from the ingest; the snapshot has those on series.

    The outlook is read from the forecast's folder.

    Raises:
        StoreError: the forecast is not in the store.
    """
    table = read_written(storage, address)
    findings = (*row_findings, *snapshot.findings)
    as_of = panel.instant(snapshot.as_of)
    scores = summarise_scores(panel, try_tally(storage, panel.name, until=as_of))
    series = _series(panel, storage, table, decision, address)
    concerns = Concerns(
        provisional=snapshot.provisional,
        decision=decision,
        findings=findings,
        late=[result.unique_id for result in series if result.cutoff < to_datetime(as_of)],
        poor_scores=scores.poor if scores else "",
        max_coverage_gap=panel.scoring.max_coverage_gap,
    )
    return ReportData(
        panel=panel.name,
        as_of=snapshot.as_of,
        known_at=to_datetime(np.datetime64(snapshot.known_at.removesuffix("Z"))),
        freq=panel.bars.freq,
        target=panel.forecast.target,
        horizon=panel.forecast.horizon,
        model=decision.model,
        model_version=decision.version,
        verdict=decision.reason,
        series=series,
        contenders=contenders(decision),
        gate=" ".join(gate_lines(decision)),
        findings=findings,
        left_out=[LeftOut(name, why) for name, why in sorted(snapshot.left_out.items())],
        warnings=make_warnings(concerns),
        facts={
            "forecast_id": address.forecast_id,
            "Price table version": str(snapshot.price_version),
            "Digest of the price rows": snapshot.rows_digest,
            "Digest of the panel": panel.digest,
            "Decided as of": decision.as_of,
            "Package version": __version__,
            **_regression(decision),
        },
        loss_curve=_loss_curve(Registry(storage, panel.name), decision.challenger),
        scores=scores,
    )


def write_report(
    panel: Panel,
    storage: Storage,
    snapshot: Snapshot,
    decision: Decision,
    address: ForecastAddress,
    row_findings: Sequence[Finding] = (),
) -> None:
    """Write the report to a forecast's folder, with its data; the page itself is the last object.

    Writes the findings and the warnings as files of their own too. The outlook is read from the folder.

    Raises:
        StoreError: the forecast is not in the store.
    """
    report = gather_report(panel, storage, snapshot, decision, address, row_findings)
    grid, past = ChartGrid.of(panel, snapshot.as_of), find_past(panel, storage, snapshot.as_of)
    forecast = read_written(storage, address)
    # Every series has a bar since then: staler ones are left out.
    since = panel.calendar.back(panel.instant(snapshot.as_of), max(grid.history, panel.audit.stale_bars + 1))
    for shard in make_shards(snapshot.ids):
        bars = bars_behind(panel, storage, snapshot, shard.ids, since)
        rows = forecast.slice(shard.start * grid.horizon, len(shard.ids) * grid.horizon)
        charts = ChartData.of(panel, grid, bars, rows, past)
        put_charts(storage, address, charts, first=shard.start // SCRIPT_SERIES)
    put_report(storage, address, report, grid, [one.as_of for one in past])


def contenders(decision: Decision) -> list[Contender]:
    """Return the score of each candidate on the holdout."""
    verdict = decision.verdict
    return [_contender(score, verdict) for score in verdict.table] if verdict else []


def _contender(score: Score, verdict: Verdict) -> Contender:
    name = score.candidate
    roles = {CHAMPION: "champion", BEST: "best on record"} | dict.fromkeys(BASELINES, "baseline")
    return Contender(
        role=roles.get(name, "challenger"),
        model=name if name in BASELINES else verdict.challenger,
        version=verdict.versions.get(name, ""),
        publishes=name == verdict.publishes,
        scaled_quantile_loss=score.scaled_quantile_loss,
        skill=score.skill,
        mase=score.mase,
        coverage_80=score.coverage_80,
        coverage_90=score.coverage_90,
    )


def _regression(decision: Decision) -> dict[str, str]:
    """The weight of the volatility regression beside a pretrained network, where one publishes."""
    weight = decision.regression_weight
    return {} if weight is None else {"Weight of the volatility regression": format_percent(weight)}


def _loss_curve(registry: Registry, version: str) -> bytes | None:
    """The loss curve of a version, PNG; None if the version was not trained."""
    try:
        history = registry.metadata(version).history
    except ModelError:  # no training window fits into the history, so the version was not trained
        return None
    if not history.get("step"):
        return None
    from forecasting.reports.loss_curve import draw_loss_curve  # noqa: PLC0415 - matplotlib takes a second

    return draw_loss_curve(history)


def _series(
    panel: Panel, storage: Storage, table: pa.Table, decision: Decision, address: ForecastAddress
) -> list[SeriesResult]:
    """The series, with the names of their pictures."""
    outlooks = find_outlooks(storage, address)
    results = series_results(table, decision.verdict, outlooks)
    chosen = set(pictured(panel.charts, [result.unique_id for result in results], outlooks))
    return [
        replace(result, chart_file=chart_name(result.unique_id)) if result.unique_id in chosen else result
        for result in results
    ]
