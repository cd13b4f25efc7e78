"""Score: compare published forecasts with the bars that have arrived."""

import logging
from datetime import UTC, datetime
from typing import Any

from prefect import Task, task
from prefect.client.schemas.objects import State, TaskRun

from forecasting.as_of import to_instant
from forecasting.panel import Panel
from forecasting.reports.score_summary import score_lines, series_score_rows, summarise_scores
from forecasting.scoring.scorer import ScoreReport
from forecasting.scoring.scorer import score_forecasts as score_arrived
from forecasting.scoring.track_record import read_tally
from forecasting.storage import Storage
from tasks.artifacts import artifact_key, show_markdown, show_table
from tasks.options import STEP

_log = logging.getLogger(__name__)


def _warn(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> None:
    _log.warning("score: failed, to be tried again after the next ingest: %s", state.message)


@task(name="score forecasts", on_failure=[_warn], **STEP)
def score_forecasts(panel: Panel, store: str) -> ScoreReport:
    """Score earlier forecasts with the bars that have arrived. A run can go on without it."""
    storage = Storage(store)
    report = score_arrived(panel, storage, to_instant(datetime.now(UTC)))
    _log.info(
        "score: %d scores added; %d forecasts published, %d of them were waiting for bars",
        report.scored,
        report.forecasts,
        report.open,
    )
    summary = summarise_scores(panel, read_tally(storage, panel.name))
    if summary is not None:
        show_markdown(
            artifact_key("scores", panel.name),
            score_lines(summary),
            f"Scores of the published forecasts of {panel.name}",
        )
        show_table(
            artifact_key("series-scores", panel.name),
            series_score_rows(summary),
            f"Scores of the published forecasts, for each series of {panel.name}",
        )
    return report
