from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecasting.calendar import BarCalendar
from forecasting.evaluation import breakdown
from forecasting.evaluation.backtest import BacktestPlan, BacktestResult, backtest
from forecasting.evaluation.predictions import ScoredWindows
from forecasting.models.forecaster import Forecaster
from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.quantiles import COLUMNS, LEVELS

MODEL = "altered"


@pytest.fixture
def run(
    panel: Panel,
    calendar: BarCalendar,
    make_bars: Callable[..., Bars],
    fit_altered: Callable[..., Forecaster],
) -> BacktestResult:
    """Three series, the third one short, and four cutoffs, the last two in the second year."""
    bars = make_bars((0, 400), (0, 400), (150, 400))
    plan = BacktestPlan(cutoffs=4, stride=15)
    return backtest(panel, bars, calendar, plan, lambda *at: fit_altered(*at, width=1.3, shift=0.2))


def rows(result: BacktestResult) -> pd.DataFrame:
    """Return the predictions as a frame, with the loss of each row computed in the simplest way."""
    frame = result.predictions.to_pandas()
    losses = [
        2 * max(level * (frame.y[i] - frame[column][i]), (level - 1) * (frame.y[i] - frame[column][i]))
        for i in range(len(frame))
        for level, column in zip(LEVELS, COLUMNS, strict=True)
    ]
    frame["loss"] = np.reshape(losses, (-1, 11)).mean(axis=1) / frame["in_sample_change"]
    return frame


def geometric(own: pd.Series, walk: pd.Series) -> float:
    return float(np.exp(np.log(own / walk).mean()))


def test_window_losses_are_means_of_the_rows_of_the_file(run: BacktestResult) -> None:
    by_hand = rows(run).groupby(["candidate", "as_of", "unique_id"])["loss"].mean()
    found = run.losses.set_index(["candidate", "as_of", "unique_id"])["scaled_quantile_loss"]
    np.testing.assert_allclose(found.to_numpy(), by_hand.to_numpy())


def test_windows_are_the_same_when_read_from_the_file(run: BacktestResult) -> None:
    buffer = pa.BufferOutputStream()
    pq.write_table(run.predictions, buffer)
    read = ScoredWindows.from_table(pq.read_table(pa.BufferReader(buffer.getvalue())))
    pd.testing.assert_frame_equal(read.losses, run.losses)


def test_skill_by_step_is_that_of_the_rows_of_that_step(run: BacktestResult) -> None:
    found = breakdown.by_horizon(run.windows)
    frame = rows(run)
    for h in (1, 4, 6):
        means = frame[frame["h"] == h].groupby(["candidate", "unique_id"])["loss"].mean()
        expected = 1 - geometric(means[MODEL], means["random_walk"])
        assert found.loc[(MODEL, h), "skill"] == pytest.approx(expected)
    assert list(found.loc["random_walk", "skill"]) == [0] * 6


def test_coverage_by_step_is_the_share_of_rows_inside(run: BacktestResult) -> None:
    found = breakdown.by_horizon(run.windows)
    frame = rows(run).query(f"candidate == '{MODEL}' and h == 3")
    inside = (frame["q10"] <= frame["y"]) & (frame["y"] <= frame["q90"])
    assert found.loc[(MODEL, 3), "coverage_80"] == pytest.approx(inside.mean())
    inside = (frame["q05"] <= frame["y"]) & (frame["y"] <= frame["q95"])
    assert found.loc[(MODEL, 3), "coverage_90"] == pytest.approx(inside.mean())


def test_each_series_has_its_own_skill_and_coverage(run: BacktestResult) -> None:
    found = breakdown.by_series(run.losses)
    frame = rows(run)
    loss = frame.groupby(["candidate", "unique_id"])["loss"].mean()
    assert found.loc[(MODEL, "s1"), "skill"] == pytest.approx(
        1 - loss[MODEL, "s1"] / loss["random_walk", "s1"]
    )
    assert found.loc[(MODEL, "s1"), "windows"] == 4
    own = frame.query(f"candidate == '{MODEL}' and unique_id == 's1'")
    assert found.loc[(MODEL, "s1"), "coverage_80"] == pytest.approx(own["y"].between(own.q10, own.q90).mean())


def test_a_series_on_which_the_random_walk_loses_nothing_has_no_skill() -> None:
    losses = pd.DataFrame(
        {
            "candidate": [MODEL, "random_walk"],
            "unique_id": "s0",
            "scaled_quantile_loss": [1.0, 0.0],
            "coverage_80": 1.0,
            "coverage_90": 1.0,
        }
    )
    assert np.isnan(breakdown.by_series(losses).loc[(MODEL, "s0"), "skill"])


def test_years_are_those_of_the_common_cutoffs(run: BacktestResult) -> None:
    found = breakdown.by_year(run.losses)
    years = run.cutoffs.astype("datetime64[Y]").astype(int) + 1970
    assert list(found) == sorted(set(years))
    assert {year: scores[0].windows for year, scores in found.items()} == {
        year: 3 * (years == year).sum() for year in years
    }


def test_a_years_ratio_is_that_of_its_rows(run: BacktestResult) -> None:
    year, scores = next(iter(breakdown.by_year(run.losses).items()))
    frame = rows(run)
    means = frame[frame["as_of"].dt.year == year].groupby(["candidate", "unique_id"])["loss"].mean()
    score = next(score for score in scores if score.candidate == MODEL)
    assert score.loss_ratio == pytest.approx(geometric(means[MODEL], means["random_walk"]))


def windows_of(y: list[list[float]], quantiles: np.ndarray) -> ScoredWindows:
    prices = np.array(y)
    keys = pd.DataFrame({"candidate": [MODEL] * len(y)})
    return ScoredWindows(keys, prices, prices, prices, np.broadcast_to(quantiles, (*prices.shape, 11)))


def test_reliability_is_the_share_of_prices_below_each_quantile() -> None:
    quantiles = np.arange(11.0)
    found = breakdown.reliability(windows_of([[-1.0, 2.5], [2.5, 20.0]], quantiles)).loc[MODEL]
    assert list(found) == [0.25] * 3 + [0.75] * 8


def test_a_price_on_a_quantile_counts_as_half_below_it() -> None:
    found = breakdown.reliability(windows_of([[5.0]], np.arange(11.0))).loc[MODEL]
    assert list(found) == [0.0] * 5 + [0.5] + [1.0] * 5


@pytest.fixture
def losses() -> pd.DataFrame:
    """The random walk's loss is 1 in every window of four series; the model's is higher, lower or equal."""
    model = {"a": [3.0, 2.5, 0.9], "b": [0.2, 0.5, 1.0], "c": [1.0, 1.0, 1.0], "d": [1.1, 0.4, 1.0]}
    return pd.DataFrame(
        [
            (name, series, np.datetime64("2020-01-01") + date, loss if name == MODEL else 1.0)
            for name in (MODEL, "random_walk")
            for series, values in model.items()
            for date, loss in enumerate(values)
        ],
        columns=["candidate", "unique_id", "as_of", "scaled_quantile_loss"],
    )


def test_the_worst_and_best_windows_are_one_of_a_series_the_most_extreme_first(losses: pd.DataFrame) -> None:
    worst, best = breakdown.extremes(losses, MODEL, 2)
    assert [(name, at.day) for at, name in worst.index] == [("a", 1), ("d", 1)]
    np.testing.assert_allclose(worst, [2.0, 0.1])
    assert [(name, at.day) for at, name in best.index] == [("b", 1), ("d", 2)]
    np.testing.assert_allclose(best, [-0.8, -0.6])


def test_no_window_is_among_the_worst_that_was_not_lost(losses: pd.DataFrame) -> None:
    worst, best = breakdown.extremes(losses, MODEL, 10)
    assert [name for _, name in worst.index] == ["a", "d"]
    assert [name for _, name in best.index] == ["b", "d", "a"]
