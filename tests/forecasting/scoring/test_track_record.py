import numpy as np
import pandas as pd
import pytest

from forecasting.calendar import bar_calendar
from forecasting.scoring.track_record import (
    Estimate,
    by_series,
    independent_windows,
    over_time,
    realised,
    summarise_span,
)
from tests.published import DAY, small_panel

FIRST = np.datetime64("2025-01-01", "us")
PANEL = small_panel()  # five bars ahead


def tally(dates: int, stride: int = 5, **columns: object) -> pd.DataFrame:
    """Complete live forecasts of two series, with the random walk's loss and all prices inside by default."""
    frame = pd.DataFrame(
        {
            "origin": "live",
            "as_of": np.repeat(FIRST + np.arange(dates) * stride * DAY, 2),
            "forecast_id": np.repeat([f"f{number}" for number in range(dates)], 2),
            "unique_id": ["A", "B"] * dates,
            "model": "stacked_lstm",
            "rows": 5,
            "loss": 10.0,
            "random_walk_loss": 10.0,
            "ewma_walk_loss": 10.0,
            "error": 0.0,
            "sign": 0.0,
            "inside_80": 5,
            "inside_90": 5,
            "h": 5,
        }
    )
    return frame.assign(**columns)


def test_skill_is_the_geometric_mean_over_series() -> None:
    span = summarise_span(
        PANEL, "live", None, tally(6, loss=[5.0, 20.0] * 6, ewma_walk_loss=[20.0, 20.0] * 6)
    )
    assert span.skill.value == pytest.approx(0)  # a half and twice
    assert span.skill_to_ewma_walk.value == pytest.approx(0.5)  # a quarter and once
    assert span.skill.error == pytest.approx(0)  # all dates say the same
    assert (span.forecasts, span.series, span.steps, span.independent) == (6, 2, 60, 6)


def test_coverage_and_bias_by_hand() -> None:
    frame = tally(6, inside_80=[4, 3] * 6, inside_90=[5, 4] * 6, sign=[5.0, 0.0] * 6, error=[10.0, -5.0] * 6)
    span = summarise_span(PANEL, "live", None, frame)
    assert (span.coverage_80.value, span.coverage_90.value) == (0.7, 0.9)
    assert span.above.value == 0.75  # five above, and five on it, each of which counts half
    assert span.bias.value == 0.5


def test_the_error_of_independent_windows_is_that_of_a_mean() -> None:
    inside = np.array([5, 3, 4, 5, 1, 4, 5, 5])
    span = summarise_span(PANEL, "live", None, tally(8, inside_80=np.repeat(inside, 2)))
    assert span.coverage_80.error == pytest.approx((inside / 5).std(ddof=1) / 8**0.5)
    assert span.coverage_80.freedom == 7


def test_the_error_of_skill_is_that_of_the_mean_ratio() -> None:
    loss = 10 + np.random.default_rng(0).normal(size=400)
    span = summarise_span(PANEL, "live", None, tally(400, loss=np.repeat(loss, 2)))
    assert span.skill.value == pytest.approx(1 - loss.mean() / 10)
    assert span.skill.error == pytest.approx(loss.std(ddof=1) / 10 / 20, rel=0.01)


def test_overlapping_windows_are_one_piece_of_evidence() -> None:
    calendar = bar_calendar("24/7", "1D")
    nightly = FIRST + np.arange(20) * DAY
    assert independent_windows(calendar, nightly, 5) == 4
    assert independent_windows(calendar, nightly[::5], 5) == 4
    assert independent_windows(calendar, nightly[[0, 4, 5, 9]], 5) == 2


@pytest.mark.parametrize(("dates", "known"), [(3, False), (4, True)])
def test_below_four_independent_windows_there_is_no_standard_error(dates: int, known: bool) -> None:
    span = summarise_span(PANEL, "live", None, tally(dates, inside_80=np.arange(2 * dates) % 5))
    assert (span.coverage_80.error is not None) == known


def test_a_series_without_losses_or_a_scale_does_not_count_for_skill() -> None:
    still = tally(4, loss=[5.0, np.nan] * 4, error=[0.0, np.nan] * 4)
    assert summarise_span(PANEL, "live", None, still).skill.value == pytest.approx(0.5)
    pegged = tally(4, loss=[5.0, 0.0] * 4, random_walk_loss=[10.0, 0.0] * 4)
    assert summarise_span(PANEL, "live", None, pegged).skill.value == pytest.approx(0.5)
    nothing = tally(4, loss=0.0, random_walk_loss=0.0)
    assert summarise_span(PANEL, "live", None, nothing).skill == Estimate(None)


def test_spans_count_back_from_the_newest_date_and_origins_are_separate() -> None:
    live = tally(100)
    past = tally(10).assign(origin="backfill")
    found = realised(PANEL, pd.concat([live, past]))
    assert [(span.origin, span.days, span.forecasts) for span in found] == [
        ("live", 90, 18),
        ("live", 365, 73),
        ("live", None, 100),
        ("backfill", 90, 10),
        ("backfill", 365, 10),
        ("backfill", None, 10),
    ]


def test_only_a_significant_difference_is_beyond_a_limit() -> None:
    # Student's t with 3 degrees of freedom exceeds 2.353 one time in twenty.
    assert not Estimate(-0.335, 0.1, 3).is_below(-0.1, 0.05)
    assert Estimate(-0.336, 0.1, 3).is_below(-0.1, 0.05)
    assert Estimate(0.936, 0.1, 3).is_above(0.7, 0.05)
    assert not Estimate(0.935, 0.1, 3).is_above(0.7, 0.05)
    assert not Estimate(-9.0).is_below(-0.1, 0.05)
    assert not Estimate(None).is_above(0.1, 0.05)


def test_over_time_has_each_forecast_and_the_trailing_span() -> None:
    frame = tally(3, loss=np.repeat([10.0, 5.0, 20.0], 2), inside_80=np.repeat([5, 0, 5], 2))
    frame = frame.assign(h=[5, 5, 5, 5, 5, 2])
    history = over_time(frame, days=6, horizon=5)
    np.testing.assert_allclose(history["skill"], [0, 0.5, -1])
    np.testing.assert_allclose(history["skill_so_far"], [0, 0.25, -0.25])  # of the last two
    np.testing.assert_allclose(history["coverage_80_so_far"], [1, 0.5, 0.5])
    assert history["whole"].tolist() == [True, True, True]
    assert over_time(frame.assign(h=3), 6, 5)["whole"].sum() == 0


def test_by_series_scores_each_series_alone() -> None:
    found = by_series(tally(4, loss=[5.0, 20.0] * 4, inside_80=[5, 3] * 4, sign=[5.0, -5.0] * 4))
    assert found["skill"].tolist() == [0.5, -1]
    assert found["coverage_80"].tolist() == [1, 0.6]
    assert found["above"].tolist() == [1, 0]
    assert found["forecasts"].tolist() == [4, 4]
