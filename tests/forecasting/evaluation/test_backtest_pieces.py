from pathlib import Path

import numpy as np

from forecasting.evaluation import backtest_pieces
from forecasting.evaluation.backtest import BacktestPlan, backtest_panel
from forecasting.storage import Storage
from tests.published import DAY, FIRST_DAY, add_prices, small_panel, walks

BARS = 300


def test_an_ingest_between_the_pieces_changes_nothing(tmp_path: Path) -> None:
    panel, storage = small_panel(), Storage(str(tmp_path / "store"))
    add_prices(panel, storage, walks(BARS))
    plan = BacktestPlan(cutoffs=3, stride=5, refit_every=2)
    expected = backtest_panel(panel, storage, plan)
    work = backtest_pieces.plan_work(panel, storage, plan, "work")
    add_prices(panel, storage, {"AAA": np.full(20, 100.0)}, FIRST_DAY + BARS * DAY)
    for number in work.trainings:
        backtest_pieces.train_piece(panel, storage, work, number)
    for number in (2, 0, 1):
        backtest_pieces.forecast_piece(panel, storage, work, number)
    result = backtest_pieces.join_pieces(panel, storage, work)
    assert result.predictions == expected.predictions
    assert (result.model, result.unscored) == (expected.model, expected.unscored)
    np.testing.assert_array_equal(result.cutoffs, expected.cutoffs)
