import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasting.calendar import bar_calendar
from forecasting.errors import ModelError
from forecasting.models import baselines
from forecasting.models.baselines import EwmaWalk, RandomWalk, point_change
from forecasting.models.windows import Windows, build_windows
from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.quantiles import LEVELS, MEDIAN

START = np.datetime64("2020-01-01", "us")
DAY = np.timedelta64(1, "D")
# Quantiles of the standard normal distribution at the eleven levels, from a printed table.
NORMAL = np.array([-1.6449, -1.2816, -0.8416, -0.5244, -0.2533, 0, 0.2533, 0.5244, 0.8416, 1.2816, 1.6449])


def make_windows(*levels: np.ndarray, horizon: int = 5, days: np.ndarray | None = None) -> Windows:
    """Create the windows of series with these values, on consecutive days unless `days` is given."""
    panel = Panel.model_validate(
        {"name": "p", "source": {"uri": "x"}, "forecast": {"horizon": horizon, "transform": "diff"}}
    )
    lengths = [len(level) for level in levels]
    bars = Bars(
        ids=tuple(f"s{number}" for number in range(len(levels))),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        ds=np.concatenate([START + (np.arange(n) if days is None else days) * DAY for n in lengths]),
        y=np.concatenate(levels),
    )
    return build_windows(panel, bars, bar_calendar("24/7", "1D"))


def walk(length: int, seed: int = 0) -> np.ndarray:
    return 100 + np.cumsum(np.random.default_rng(seed).normal(size=length))


@pytest.mark.parametrize("h", [1, 2, 5])
def test_random_walk_gives_the_quantiles_of_each_series_own_changes_up_to_the_origin(h: int) -> None:
    windows = make_windows(walk(80), 3 * walk(90, seed=1))
    origins = np.array([60, 80 + 70])
    quantiles = RandomWalk().predict(windows, origins)
    pasts = walk(80)[:61], 3 * walk(90, seed=1)[:71]
    expected = [np.quantile(past[h:] - past[:-h], LEVELS) for past in pasts]
    np.testing.assert_allclose(quantiles[:, h - 1], expected, rtol=1e-12)


def test_random_walk_counts_no_change_across_a_long_gap() -> None:
    level = walk(80)
    days = np.arange(80) + np.where(np.arange(80) >= 30, 100, 0)
    quantiles = RandomWalk().predict(make_windows(level, days=days), np.array([79]))
    pieces = level[:30], level[30:]
    changes = np.concatenate([piece[3:] - piece[:-3] for piece in pieces])
    np.testing.assert_allclose(quantiles[0, 2], np.quantile(changes, LEVELS), rtol=1e-12)


def test_random_walk_scales_up_the_longest_step_that_has_twenty_changes() -> None:
    level = walk(60)
    quantiles = RandomWalk().predict(make_windows(level, horizon=72), np.array([59]))[0]
    at_40 = np.quantile(level[40:] - level[:-40], LEVELS)
    np.testing.assert_allclose(quantiles[39], at_40, rtol=1e-12)
    np.testing.assert_allclose(quantiles[71], at_40 * np.sqrt(72 / 40), rtol=1e-12)


def test_random_walk_expects_no_move_of_a_series_without_a_past() -> None:
    assert not RandomWalk().predict(make_windows(walk(30)), np.array([0])).any()


def test_random_walk_is_the_same_whatever_part_of_it_is_held_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    windows, origins = make_windows(walk(80), walk(70, seed=1)), np.array([50, 79, 149])
    whole = RandomWalk().predict(windows, origins)
    monkeypatch.setattr(baselines, "BLOCK", 160)
    np.testing.assert_array_equal(RandomWalk().predict(windows, origins), whole)


@settings(max_examples=50)
@given(arrays(np.float64, st.integers(2, 60), elements=st.floats(-1e6, 1e6)))
def test_random_walk_quantiles_never_cross(level: np.ndarray) -> None:
    quantiles = RandomWalk().predict(make_windows(level), np.array([len(level) - 1]))
    assert (np.diff(quantiles, axis=-1) >= 0).all()


def test_no_walk_is_moved_by_a_later_price() -> None:
    level = walk(80)
    changed = np.where(np.arange(80) > 60, 7.0, level)
    before, after = make_windows(level), make_windows(changed)
    origins, end = np.array([20, 60]), START + 60 * DAY
    np.testing.assert_array_equal(RandomWalk().predict(before, origins), RandomWalk().predict(after, origins))
    np.testing.assert_array_equal(EwmaWalk.fit(before, end).table, EwmaWalk.fit(after, end).table)


def test_ewma_walk_pools_changes_in_scales_that_end_in_time() -> None:
    windows = make_windows(walk(60), 50 * walk(40, seed=1))
    end = START + 45 * DAY
    h = 3
    pool = [
        (windows.level[origin + h] - windows.level[origin]) / windows.scale[origin]
        for first, stop in ((0, 60), (60, 100))
        for origin in range(first + 1, stop - h)
        if windows.bars.ds[origin + h] <= end
    ]
    expected = np.quantile(pool, LEVELS)
    expected[:MEDIAN] = np.minimum(expected[:MEDIAN], 0)
    expected[MEDIAN + 1 :] = np.maximum(expected[MEDIAN + 1 :], 0)
    expected[MEDIAN] = 0
    np.testing.assert_allclose(EwmaWalk.fit(windows, end).table[h - 1], expected, rtol=1e-12)


def test_ewma_walk_finds_the_law_of_a_gaussian_walk() -> None:
    windows = make_windows(walk(30_000), horizon=9)
    quantiles = EwmaWalk.fit(windows, windows.bars.ds[-1]).predict(windows, np.arange(1_000, 30_000))
    typical = np.median(quantiles, axis=0)
    np.testing.assert_allclose(typical[0], NORMAL, atol=0.08)
    np.testing.assert_allclose(typical[8], 3 * NORMAL, atol=0.3)


def test_ewma_walk_stays_where_it_is_though_the_past_rose() -> None:
    windows = make_windows(walk(300) + 2 * np.arange(300))
    table = EwmaWalk.fit(windows, windows.bars.ds[-1]).table
    assert not table[:, : MEDIAN + 1].any()
    assert (table[:, MEDIAN + 1 :] > 0).all()


def test_ewma_walk_forecasts_the_scale_times_its_table() -> None:
    windows = make_windows(walk(60))
    model = EwmaWalk(table=np.outer([1, 2, 3, 4, 5], NORMAL))
    quantiles = model.predict(windows, np.array([30, 59]))
    np.testing.assert_allclose(quantiles[1, 2], windows.scale[59] * 3 * NORMAL)


def test_ewma_walk_scales_up_the_longest_step_that_has_twenty_changes() -> None:
    windows = make_windows(walk(60), horizon=72)
    table = EwmaWalk.fit(windows, windows.bars.ds[-1]).table
    # The first bar has no scale: 20 origins remain for step 39, and 19 for step 40.
    np.testing.assert_allclose(table[71], table[38] * np.sqrt(72 / 39), rtol=1e-12)
    assert (table[39] == table[38] * np.sqrt(40 / 39)).all()


def test_ewma_walk_learns_nearly_the_same_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = make_windows(walk(20_000))
    end = windows.bars.ds[-1]
    whole = EwmaWalk.fit(windows, end).table
    monkeypatch.setattr(baselines, "MAX_POOLED", 10_000)
    sampled = EwmaWalk.fit(windows, end).table
    np.testing.assert_allclose(sampled, whole, atol=0.1)
    np.testing.assert_array_equal(sampled, EwmaWalk.fit(windows, end).table)


def test_ewma_walk_refuses_prices_that_never_moved() -> None:
    windows = make_windows(np.full(80, 5.0))
    with pytest.raises(ModelError, match="no price changes before 2020-03-20"):
        EwmaWalk.fit(windows, windows.bars.ds[-1])


def test_the_point_forecast_of_a_walk_is_the_last_value_and_of_others_the_median() -> None:
    quantiles = np.tile(np.arange(11.0), (2, 5, 1))
    assert not point_change(RandomWalk(), quantiles).any()
    assert (point_change(EwmaWalk(table=quantiles[0]), quantiles) == 5).all()
