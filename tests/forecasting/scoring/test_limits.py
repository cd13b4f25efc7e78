"""When realised scores call for a challenger."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from forecasting.panel import Panel
from forecasting.publishing.decisions import Decision, DecisionLog
from forecasting.scoring.limits import beyond_limits
from forecasting.scoring.score_table import SCORES, ScoreTable
from forecasting.selection.challenger import WindowPlan, retrain_reason, settings_digest
from forecasting.storage import Storage
from tests.published import DAY, NOW, small_panel

FIRST = np.datetime64("2026-01-01", "us")
AS_OF = "2026-04-10"  # the hundredth day
PLAN = WindowPlan("2026-01-01", training_bars=100, training_windows=90, holdout_windows=10, version="w")


@pytest.fixture
def panel() -> Panel:
    return small_panel(retrain={"max_age_days": 1000})


def add_scores(storage: Storage, dates: int = 90, **columns: Any) -> None:
    """Append scores of nightly five-step forecasts: the loss of the random walk, 4 of 5 prices inside 80%."""
    count, step = dates * 5, np.tile(np.arange(1, 6), dates)
    as_of = FIRST + np.repeat(np.arange(dates), 5) * DAY
    noise = 1 + 0.05 * np.sin(np.arange(count))
    values: dict[str, Any] = {
        **dict.fromkeys(SCORES.names, np.ones(count)),
        "origin": ["live"] * count,
        "as_of": as_of,
        "forecast_id": [f"f{number}" for number in np.repeat(np.arange(dates), 5)],
        "provisional": [False] * count,
        "unique_id": ["A"] * count,
        **dict.fromkeys(("known_at", "published_at", "cutoff"), as_of),
        "h": step,
        "ds": as_of + step * DAY,
        "model": ["stacked_lstm"] * count,
        "model_version": ["v"] * count,
        "random_walk_loss": noise,
        "inside_80": step < 5,
        "inside_90": np.arange(count) % 10 > 0,
    } | columns
    arrays = [pa.array(values[field.name]).cast(field.type) for field in SCORES]
    ScoreTable.create(storage, "small").append(pa.table(arrays, schema=SCORES), [], NOW)


def test_without_scores_there_is_no_reason(panel: Panel, local_storage: Storage) -> None:
    assert beyond_limits(panel, local_storage, AS_OF) is None


def test_scores_within_the_limits_are_no_reason(panel: Panel, local_storage: Storage) -> None:
    add_scores(local_storage)
    assert beyond_limits(panel, local_storage, AS_OF) is None


def test_a_skill_that_is_clearly_too_low_is_a_reason_with_its_numbers(
    panel: Panel, local_storage: Storage
) -> None:
    add_scores(local_storage, loss=np.full(450, 1.3))
    reason = beyond_limits(panel, local_storage, AS_OF)
    assert reason is not None
    assert reason.startswith("in the forecasts of the last 365 days the skill was \N{MINUS SIGN}30.")
    assert reason.endswith("below \N{MINUS SIGN}10.0% (min_skill), measured on 18 independent windows")


@pytest.mark.parametrize(
    ("inside", "said"), [(2, "the 80% interval contained 40.0%"), (5, "the 80% interval contained 100.0%")]
)
def test_a_coverage_that_is_clearly_off_is_a_reason(
    inside: int, said: str, panel: Panel, local_storage: Storage
) -> None:
    add_scores(local_storage, inside_80=np.arange(450) % 5 < inside)
    reason = beyond_limits(panel, local_storage, AS_OF)
    assert reason is not None
    assert said in reason
    assert "more than 10.0% away from 80% (max_coverage_gap)" in reason


def test_bad_luck_on_few_independent_windows_is_no_reason(panel: Panel, local_storage: Storage) -> None:
    add_scores(local_storage, dates=15, loss=np.full(75, 2.0))  # fifteen nights, but three windows of five
    assert beyond_limits(panel, local_storage, "2026-01-16") is None


def test_a_skill_below_the_limit_by_chance_is_no_reason(panel: Panel, local_storage: Storage) -> None:
    # One window in five is far worse than the others: the mean is below the limit, but not significantly.
    night = np.repeat(np.arange(45), 5)
    add_scores(local_storage, dates=45, loss=np.where(night // 5 == 4, 2.5, 1.0))
    assert beyond_limits(panel, local_storage, "2026-02-14") is None


@pytest.mark.parametrize(
    "others", [{"origin": ["backfill"] * 450}, {"model": ["ewma_walk"] * 450}], ids=["backfill", "baseline"]
)
def test_only_what_a_network_published_live_counts(
    others: dict[str, Any], panel: Panel, local_storage: Storage
) -> None:
    add_scores(local_storage, loss=np.full(450, 1.3), **others)
    assert beyond_limits(panel, local_storage, AS_OF) is None


def test_a_run_for_a_past_date_knows_no_later_scores(panel: Panel, local_storage: Storage) -> None:
    loss = np.where(np.repeat(np.arange(90), 5) < 40, 1.0, 9.0)
    add_scores(local_storage, loss=loss)
    assert beyond_limits(panel, local_storage, AS_OF) is not None
    assert beyond_limits(panel, local_storage, "2026-02-09") is None


def test_forecasts_of_long_ago_do_not_count(local_storage: Storage) -> None:
    panel = small_panel(scoring={"days": 30})
    add_scores(local_storage, loss=np.where(np.repeat(np.arange(90), 5) < 40, 9.0, 1.0))
    assert beyond_limits(panel, local_storage, AS_OF) is None


def test_damaged_scores_are_no_reason_and_stop_nothing(
    panel: Panel, local_storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    add_scores(local_storage, loss=np.full(450, 1.3))
    for file in Path(local_storage.table_uri("scores/small")).rglob("*.parquet"):
        file.unlink()
    assert beyond_limits(panel, local_storage, AS_OF) is None
    assert "scores: ignored, because they cannot be read" in caplog.text


@pytest.mark.parametrize(
    ("trained_for", "called_for", "due"),
    [
        ("2026-04-09", None, True),
        ("2026-04-09", "2026-03-11", True),
        ("2026-04-09", "2026-03-12", False),
    ],
    ids=["never called before", "rested for 30 days", "rested for 29"],
)
def test_with_default_settings_bad_scores_are_due_the_night_after_a_weekly_training(
    trained_for: str, called_for: str | None, due: bool, local_storage: Storage
) -> None:
    panel = small_panel()
    add_scores(local_storage, loss=np.full(450, 1.3))
    log, weekly = DecisionLog(local_storage, "small"), trained(panel, trained_for)
    if called_for:
        log.append(replace(weekly, as_of=called_for, scores="bad"))
    log.append(weekly)
    reason = retrain_reason(panel, local_storage, AS_OF, PLAN)
    assert (reason is not None) is due
    assert not due or "(min_skill)" in str(reason)


def test_bad_scores_are_the_reason_before_age(local_storage: Storage) -> None:
    panel = small_panel()
    add_scores(local_storage, loss=np.full(450, 1.3))
    DecisionLog(local_storage, "small").append(trained(panel, "2026-03-01"))
    assert "(min_skill)" in str(retrain_reason(panel, local_storage, AS_OF, PLAN))


def trained(panel: Panel, as_of: str) -> Decision:
    return Decision(
        as_of=as_of,
        decided_at="2026-03-12T06:00:00+00:00",
        challenger="v",
        model="ewma_walk",
        version="v",
        settings=settings_digest(panel),
        reason="because",
        verdict=None,
    )
