from typing import Any

import deltalake
import pyarrow as pa
import pytest

from forecasting.panel import Panel
from forecasting.publishing.address import FORECAST
from forecasting.scoring import score_pieces, scorer
from forecasting.scoring.score_table import ScoreTable
from forecasting.scoring.scorer import ScoreReport, find_open, score_forecasts
from forecasting.storage import Storage
from tests.published import NOW, add_prices, publish_walk, small_panel, walks


@pytest.fixture
def panel() -> Panel:
    return small_panel()


def publish(panel: Panel, storage: Storage) -> None:
    """Three forecasts with 15, 12 and 9 bars to score, and a damaged one."""
    add_prices(panel, storage, walks(105))
    for day in (10, 11, 12):
        publish_walk(panel, storage, f"2026-04-{day}")
    storage.put(publish_walk(panel, storage, "2026-04-13").path(FORECAST), b"junk")


def commits(storage: Storage) -> list[pa.Table]:
    """The rows of each file of the score table, sorted by size, without when they were scored."""
    table = deltalake.DeltaTable(storage.table_uri("scores/small"), storage_options=storage.table_options)
    files = [one.to_table() for one in table.to_pyarrow_dataset().get_fragments()]
    drop = ["scored_at", "published_at", "known_at"]
    return sorted((one.drop_columns(drop) for one in files), key=lambda one: one.num_rows)


def score_in_pieces(panel: Panel, storage: Storage, meanwhile: Any = None) -> ScoreReport:
    found = find_open(panel, storage)
    version = ScoreTable.create(storage, panel.name).version
    for piece in reversed(score_pieces.make_pieces(found, "work")):
        score_pieces.score_piece(panel, storage, piece)
    if meanwhile is not None:
        meanwhile()
    return score_pieces.commit_pieces(panel, storage, found, "work", version, NOW)


@pytest.mark.parametrize("commit_rows", [1, 20])
def test_pieces_give_the_same_commits(
    commit_rows: int, panel: Panel, local_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorer, "_COMMIT_ROWS", commit_rows)
    monkeypatch.setattr(score_pieces, "PIECE_FORECASTS", 3)
    publish(panel, local_storage)
    twin = Storage(f"{local_storage.uri}-twin")
    publish(panel, twin)
    report = score_in_pieces(panel, local_storage)
    expected = score_forecasts(panel, twin, NOW)
    assert (report.scored, report.open, len(report.skipped)) == (36, 4, 1)
    assert report.skipped == tuple(
        reason.replace(f"{twin.uri}/", f"{local_storage.uri}/") for reason in expected.skipped
    )
    assert commits(local_storage) == commits(twin)
    assert score_forecasts(panel, local_storage, NOW).scored == 0


def test_what_another_scorer_commits_meanwhile_is_not_scored_twice(
    panel: Panel, local_storage: Storage
) -> None:
    publish(panel, local_storage)
    report = score_in_pieces(
        panel, local_storage, meanwhile=lambda: score_forecasts(panel, local_storage, NOW)
    )
    assert report.scored == 0
    assert sum(one.num_rows for one in commits(local_storage)) == 36
