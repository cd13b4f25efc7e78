import numpy as np
import pandas as pd
import pytest

from forecasting.evaluation.scores import compare


def losses_of(**by_candidate: list[float]) -> pd.DataFrame:
    """Losses on two windows of series a and one of series b; MASE is twice the loss."""
    frames = [
        pd.DataFrame(
            {
                "candidate": name,
                "unique_id": ["a", "a", "b"],
                "as_of": [1, 2, 1],
                "scaled_quantile_loss": loss,
                "mase": 2 * np.array(loss),
                "coverage_80": [0.5, 1.0, 0.9],
                "coverage_90": [1.0, 1.0, 0.7],
            }
        )
        for name, loss in by_candidate.items()
    ]
    return pd.concat(frames, ignore_index=True)


def test_a_score_weighs_series_alike_and_windows_within_them() -> None:
    # Mean losses of both series: model 2 and 8, random walk 4 and 4, EWMA walk 1 and 1.
    losses = losses_of(model=[1, 3, 8], random_walk=[4, 4, 4], ewma_walk=[1, 1, 1])
    score = compare(losses)[0]
    assert score.scaled_quantile_loss == pytest.approx(5)
    assert score.mase == pytest.approx(10)
    assert score.loss_ratio == pytest.approx(1)
    assert score.loss_ratio_arithmetic == pytest.approx(5 / 4)
    assert score.mase_ratio == pytest.approx(1)
    assert score.skill == pytest.approx(0)
    assert score.skill_to_ewma_walk == pytest.approx(1 - 4)
    assert (score.coverage_80, score.coverage_90) == pytest.approx((0.8, 0.9))
    assert (score.series, score.windows) == (2, 3)


def test_scores_come_in_the_order_of_their_losses() -> None:
    losses = losses_of(model=[1, 1, 1], random_walk=[1, 1, 1], ewma_walk=[1, 1, 1])
    assert [score.candidate for score in compare(losses)] == ["model", "random_walk", "ewma_walk"]


def test_a_score_of_forecasts_that_are_not_finite_has_no_numbers() -> None:
    losses = losses_of(model=[1, np.nan, 1], random_walk=[1, 1, 1], ewma_walk=[1, 1, 1])
    record = compare(losses)[0].to_record()
    assert {record[key] for key in ("scaled_quantile_loss", "mase", "loss_ratio", "skill")} == {None}
