"""Score: compare published forecasts with the bars that have arrived."""

import logging
from datetime import UTC, datetime
from typing import Any

from prefect import Task, task
from prefect.client.schemas.objects import State, TaskRun

from forecasting.as_of import to_instant
from forecasting.panel import Panel
from forecasting.reports.score_summary import score_lines, series_score_rows, summarise_scores
from forecasting.scoring import score_pieces
from forecasting.scoring.score_pieces import ScorePiece
from forecasting.scoring.score_table import ScoreTable
from forecasting.scoring.scorer import ScoreReport, find_open, report_scores, score_open
from forecasting.scoring.scorer import score_forecasts as score_arrived
from forecasting.scoring.track_record import read_tally
from forecasting.storage import Storage
from forecasting.working_folders import working_folder
from tasks.artifacts import artifact_key, show_markdown, show_table
from tasks.engine import Engine, open_engine
from tasks.options import STEP

_log = logging.getLogger(__name__)


def _warn(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> None:
    _log.warning("score: failed, to be tried again after the next ingest: %s", state.message)


@task(name="score forecasts", on_failure=[_warn], **STEP)
def score_forecasts(panel: Panel, store: str) -> ScoreReport:
    """Score earlier forecasts with the bars that have arrived. A run can go on without it."""
    storage = Storage(store)
    with open_engine(panel) as engine:
        report = _score_with(engine, panel, storage)
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


def _score_with(engine: Engine, panel: Panel, storage: Storage) -> ScoreReport:
    """Score in this process, or on a cluster if enough forecasts wait."""
    now = to_instant(datetime.now(UTC))
    if not engine.is_cluster:
        return score_arrived(panel, storage, now)
    found = find_open(panel, storage)
    if len(found.waiting) <= score_pieces.PIECE_FORECASTS:
        return report_scores(panel, found, score_open(panel, storage, found.waiting, now))
    version = ScoreTable.create(storage, panel.name).version
    with working_folder(storage, f"scoring/{panel.name}") as folder:
        common = {"panel": panel, "store": storage.uri}
        pieces = score_pieces.make_pieces(found, folder)
        for wait in [engine.start(score_piece, **common, piece=piece) for piece in pieces]:
            wait().result()
        return score_pieces.commit_pieces(panel, storage, found, folder, version, now)


@task(name="score piece", task_run_name="score forecasts {piece}", **STEP)
def score_piece(panel: Panel, store: str, piece: ScorePiece) -> None:
    """Score a group of forecasts that wait for bars."""
    score_pieces.score_piece(panel, Storage(store), piece)
    _log.info("score: forecasts %s", piece)
