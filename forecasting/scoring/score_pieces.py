"""Scoring in pieces: groups of forecasts, so that many machines can share the work.

A piece reads prices, forecasts and scores itself, and writes the new scores of each of its forecasts to a
working folder in the store. One process then commits them, in the order and the commits of
`scorer.score_forecasts`.
"""

from dataclasses import dataclass

import numpy as np
from deltalake.exceptions import CommitFailedError

from forecasting.panel import Panel
from forecasting.parquet import table_from_bytes, table_to_bytes
from forecasting.scoring.score_table import ScoreTable
from forecasting.scoring.scorer import (
    Done,
    Found,
    OpenForecast,
    Part,
    ScoreReport,
    commit_parts,
    report_scores,
    score_each,
    score_open,
)
from forecasting.storage import Storage

# Forecasts of one piece, which share one read of the prices. Fewer are not worth sending to a cluster.
PIECE_FORECASTS = 8


@dataclass(frozen=True)
class ScorePiece:
    """A group of forecasts to score.

    Attributes:
        first: the position of its first forecast among all that wait.
        waiting: its forecasts, sorted by `as_of`.
        folder: the working folder in the store.
    """

    first: int
    waiting: tuple[OpenForecast, ...]
    folder: str

    def __str__(self) -> str:
        return f"{self.first + 1} to {self.first + len(self.waiting)}"


def make_pieces(found: Found, folder: str) -> tuple[ScorePiece, ...]:
    """Split the forecasts that wait for bars into pieces."""
    starts = range(0, len(found.waiting), PIECE_FORECASTS)
    return tuple(
        ScorePiece(first, found.waiting[first : first + PIECE_FORECASTS], folder) for first in starts
    )


def score_piece(panel: Panel, storage: Storage, piece: ScorePiece) -> None:
    """Score the forecasts of a piece, and write their new scores to the working folder.

    Raises:
        StoreError: the store has no prices of the panel.
        deltalake.exceptions.CommitFailedError: another writer is creating the score table.
    """
    table = ScoreTable.create(storage, panel.name)
    for number, part in enumerate(score_each(panel, storage, piece.waiting, table), piece.first):
        facts = {"settled": str(int(part.settled)), "skipped": part.skipped}
        storage.put(_path(piece.folder, number), table_to_bytes(part.rows.replace_schema_metadata(facts)))


def commit_pieces(
    panel: Panel, storage: Storage, found: Found, folder: str, version: int, now: np.datetime64
) -> ScoreReport:
    """Commit the scores of all pieces.

    If another scorer of the panel has committed since the pieces began, what is left is scored again here.

    Args:
        panel: the panel.
        storage: the store.
        found: the forecasts of all pieces.
        folder: the working folder.
        version: that of the score table before the pieces began.
        now: datetime64, UTC; the scores' `scored_at`.

    Raises:
        StoreError: a forecast's part is missing, or other writers kept changing the score table.
    """
    done = Done(0, 0, ())
    while done.taken < len(found.waiting):
        table = ScoreTable.create(storage, panel.name)
        if table.version != version:
            break
        parts = (_read(storage, folder, number) for number in range(done.taken, len(found.waiting)))
        try:
            more = commit_parts(table, found.waiting[done.taken :], parts, now)
        except CommitFailedError:
            break
        version += more.rows > 0
        done += more
    return report_scores(panel, found, done + score_open(panel, storage, found.waiting[done.taken :], now))


def _read(storage: Storage, folder: str, number: int) -> Part:
    table = table_from_bytes(storage.get(_path(folder, number)))
    facts = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    return Part(table.replace_schema_metadata(), facts["settled"] == "1", facts["skipped"])


def _path(folder: str, number: int) -> str:
    return f"{folder}/{number:06}.parquet"
