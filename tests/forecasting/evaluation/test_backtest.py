from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from forecasting import contract
from forecasting.calendar import BarCalendar
from forecasting.errors import AuditError, ContractError, NightcastError
from forecasting.evaluation.backtest import BacktestPlan, BacktestResult, backtest
from forecasting.models.forecaster import Forecaster
from forecasting.panel import Panel
from forecasting.prices.bars import Bars

START = np.datetime64("2020-01-01", "us")
DAY = np.timedelta64(1, "D")
PLAN = BacktestPlan(cutoffs=3, stride=6)
# Three series of 200 bars: the cutoffs are 6, 12 and 18 bars before the last one.
SPANS = ((0, 200),) * 3
CUTOFFS = START + np.array([181, 187, 193]) * DAY

MakeBars = Callable[..., Bars]
Fit = Callable[..., Forecaster]


@pytest.fixture
def run(panel: Panel, calendar: BarCalendar, fit_altered: Fit) -> Callable[..., BacktestResult]:
    def run(bars: Bars, **options: Any) -> BacktestResult:
        return backtest(panel, bars, calendar, **({"plan": PLAN, "fit_model": fit_altered} | options))

    return run


Run = Callable[..., BacktestResult]


def forecasts_by(result: BacktestResult, cutoff: np.datetime64) -> pa.Table:
    """Return the forecasts up to a common cutoff, without the actual prices and the run's names."""
    table = result.predictions.drop_columns(["y", "forecast_id"])
    return table.filter(pc.less_equal(table["as_of"], pa.scalar(cutoff.item(), pa.timestamp("us", "UTC"))))


def test_cutoffs_lie_a_stride_apart_and_the_last_a_horizon_before_the_end(
    run: Run, make_bars: MakeBars
) -> None:
    np.testing.assert_array_equal(run(make_bars(*SPANS)).cutoffs, CUTOFFS)


def test_cutoffs_are_counted_on_the_bars_that_there_are(run: Run, make_bars: MakeBars) -> None:
    bars = make_bars(*SPANS)
    week = replace(bars, ds=bars.ds + 2 * DAY * (bars.age // 5))
    np.testing.assert_array_equal(run(week).cutoffs, week.ds[[181, 187, 193]])


def test_every_candidate_forecasts_every_series_from_every_cutoff(run: Run, make_bars: MakeBars) -> None:
    predictions = run(make_bars(*SPANS)).predictions
    assert predictions.num_rows == 3 * 3 * 3 * 6
    assert set(predictions["candidate"].to_pylist()) == {"altered", "ewma_walk", "random_walk"}


def test_predictions_are_forecasts_beside_the_bars_that_came(run: Run, make_bars: MakeBars) -> None:
    bars = make_bars(*SPANS)
    predictions = run(bars).predictions
    one = predictions.filter((pc.field("candidate") == "altered") & (pc.field("unique_id") == "s1"))
    np.testing.assert_array_equal(one["ds"].to_numpy(), bars.ds[200 + 182 : 400])
    np.testing.assert_array_equal(one["y"].to_numpy(), bars.y[200 + 182 : 400])
    np.testing.assert_array_equal(
        one["y_cutoff"].to_numpy(), np.repeat(bars.y[200 + np.array([181, 187, 193])], 6)
    )
    contract.validate(one.slice(0, 6))


def test_the_random_walks_point_forecast_is_the_last_value(run: Run, make_bars: MakeBars) -> None:
    predictions = run(make_bars(*SPANS)).predictions
    walk = predictions.filter(pc.field("candidate") == "random_walk")
    assert walk["y_hat"] == walk["y_cutoff"]


def test_the_table_says_how_the_model_compares(run: Run, make_bars: MakeBars) -> None:
    scores = {score.candidate: score for score in run(make_bars(*SPANS)).table}
    # The model is the EWMA walk under another name.
    assert scores["altered"].skill_to_ewma_walk == pytest.approx(0)
    assert scores["altered"].skill == pytest.approx(scores["ewma_walk"].skill)
    assert scores["random_walk"].skill == pytest.approx(0)
    assert (scores["altered"].series, scores["altered"].windows) == (3, 9)


def test_the_model_is_tested_against_both_walks_and_targets_overlap_as_strides_say(
    run: Run, make_bars: MakeBars
) -> None:
    tests = run(make_bars(*SPANS), plan=BacktestPlan(cutoffs=30, stride=2)).tests
    assert [test.candidate for test in tests] == ["altered", "altered", "ewma_walk"]
    # Targets of 6 bars overlap 3 times, so 6 lags count.
    assert [(test.dates, test.lag) for test in tests] == [(30, 6)] * 3
    # The model is the EWMA walk under another name.
    assert (tests[1].difference, tests[1].verdict) == (0.0, "the same")


@pytest.mark.parametrize("back", [0, 1, 2])
def test_no_price_after_a_cutoff_changes_a_forecast_or_a_membership_up_to_it(
    run: Run, make_bars: MakeBars, back: int
) -> None:
    cutoff = CUTOFFS[-1 - back]
    # s3 ends after the cutoff, and s4 completes a context only then: the audit must not see either.
    bars = make_bars(*SPANS, (0, 185), (178, 200))
    rng = np.random.default_rng(1)
    future = bars.ds > cutoff
    changed = replace(bars, y=np.where(future, bars.y * rng.lognormal(size=len(bars)), bars.y))
    assert forecasts_by(run(bars), cutoff).equals(forecasts_by(run(changed), cutoff))


def test_no_later_silence_of_a_series_changes_what_was_forecast_before_it(
    run: Run, make_bars: MakeBars
) -> None:
    cutoff = CUTOFFS[0]
    whole, silent = make_bars(*SPANS), make_bars(*SPANS[:2], (0, 189))
    assert forecasts_by(run(whole), cutoff).equals(forecasts_by(run(silent), cutoff))


@pytest.mark.parametrize(
    ("refit_every", "trained"), [(None, [0]), (1, [0, 1, 2]), (2, [0, 2])], ids=["never", "each", "second"]
)
def test_the_model_is_trained_when_the_plan_says_on_nothing_after_that_cutoff(
    run: Run, make_bars: MakeBars, fit_altered: Fit, refit_every: int | None, trained: list[int]
) -> None:
    ends = []

    def fit(bars: Bars, end: np.datetime64) -> Forecaster:
        assert bars.ds.max() <= end
        ends.append(end)
        return fit_altered(bars, end)

    run(make_bars(*SPANS), plan=replace(PLAN, refit_every=refit_every), fit_model=fit)
    np.testing.assert_array_equal(ends, CUTOFFS[trained])


def test_the_ewma_walk_forecasts_series_without_a_context_in_the_models_place(
    run: Run, make_bars: MakeBars
) -> None:
    predictions = run(make_bars(*SPANS, (175, 200))).predictions
    mine = predictions.filter((pc.field("candidate") == "altered") & (pc.field("unique_id") == "s3"))
    assert mine["model"].to_pylist()[::6] == ["ewma_walk", "altered", "altered"]


def test_the_model_is_not_asked_where_no_series_has_a_context(
    run: Run, make_bars: MakeBars, fit_altered: Fit
) -> None:
    def fit(_: Bars, end: np.datetime64) -> Forecaster:
        return fit_altered(make_bars((0, 200)), end)

    result = run(make_bars((185, 200)), plan=BacktestPlan(cutoffs=1), fit_model=fit)
    assert set(result.predictions["model"].to_pylist()) == {"ewma_walk", "random_walk"}


def test_a_series_without_a_whole_target_is_not_scored_and_counted(run: Run, make_bars: MakeBars) -> None:
    # s3 has 4 bars after the second cutoff, and none after the last, where it still counts as live.
    result = run(make_bars(*SPANS, (0, 192)))
    scored = result.losses.query("candidate == 'altered' and unique_id == 's3'")["as_of"]
    assert list(scored.dt.tz_localize(None)) == [CUTOFFS[0]]
    assert result.unscored == 2


def test_too_short_a_history_for_so_many_cutoffs_is_refused(run: Run, make_bars: MakeBars) -> None:
    with pytest.raises(
        AuditError, match="has 17 bars; 3 cutoffs every 6 bars, and 6 after the last, need 19"
    ):
        run(make_bars((0, 17), (0, 17)))


@pytest.mark.parametrize("name", ["cutoffs", "stride", "refit_every"])
def test_a_plan_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(NightcastError, match=f"{name} = 0; give 1 or more"):
        BacktestPlan(**{name: 0})


def test_a_panel_that_nothing_comes_after_is_refused(run: Run, make_bars: MakeBars) -> None:
    # The series have no days in common: after the only cutoff, neither has six bars.
    bars = make_bars((0, 103), (103, 106))
    with pytest.raises(AuditError, match="no series of panel walks has a complete target"):
        run(bars, plan=BacktestPlan(cutoffs=1))


def test_a_model_that_forecasts_nonsense_is_refused(run: Run, make_bars: MakeBars, fit_altered: Fit) -> None:
    with pytest.raises(ContractError, match="not finite"):
        run(make_bars(*SPANS), fit_model=lambda bars, end: fit_altered(bars, end, shift=np.nan))


def test_running_again_gives_the_same(run: Run, make_bars: MakeBars) -> None:
    assert run(make_bars(*SPANS)).predictions.equals(run(make_bars(*SPANS)).predictions)


def test_progress_is_told_at_every_cutoff(run: Run, make_bars: MakeBars) -> None:
    told: list[tuple[int, int, str]] = []
    run(make_bars(*SPANS), on_progress=lambda *what: told.append(what))
    assert [done for done, _, _ in told] == [0, 1, 2, 3]


def test_progress_says_which_cutoff_and_which_training(run: Run, make_bars: MakeBars) -> None:
    told: list[str] = []
    plan = replace(PLAN, refit_every=2)
    run(make_bars(*SPANS), plan=plan, on_progress=lambda *what: told.append(what[2]))
    assert told == [
        "cutoff 1 of 3, 2020-06-30, training 1 of 2",
        "cutoff 2 of 3, 2020-07-06",
        "cutoff 3 of 3, 2020-07-12, training 2 of 2",
        "scored",
    ]
