"""Windows, compared with a slow and obvious computation; later prices must not change them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import ModelError
from forecasting.models.windows import LOG_SCALE, Windows, build_windows, feature_count
from forecasting.panel import Panel
from forecasting.prices.bars import Bars

DAY = np.timedelta64(1, "D")
START = np.datetime64("2020-01-01", "us")


def make_panel(freq: str = "1D", transform: str = "log", step: int = 1, max_gap: int = 10) -> Panel:
    return Panel.model_validate(
        {
            "name": "p",
            "source": {"uri": "x"},
            "bars": {"freq": freq},
            "forecast": {"horizon": 3, "transform": transform},
            "model": {"context": 8, "sampling_step": step},
            "audit": {"max_gap_bars": max_gap},
        }
    )


def make_bars(*series: list[float], gap_after: int | None = None, gap: int = 0) -> Bars:
    """Create daily series that start together; `gap` days are missing after bar `gap_after` of each."""
    days = [np.arange(len(y)) + np.where(np.arange(len(y)) > (gap_after or len(y)), gap, 0) for y in series]
    return Bars(
        ids=tuple(f"s{number}" for number in range(len(series))),
        offsets=np.cumsum([0, *map(len, series)]).astype(np.int64),
        ds=np.concatenate([START + day * DAY for day in days]),
        y=np.concatenate([np.array(y, dtype=np.float64) for y in series]),
    )


def walk(count: int, seed: int = 0) -> list[float]:
    return list(100 * np.exp(np.random.default_rng(seed).normal(0, 0.01, count).cumsum()))


def build(bars: Bars, panel: Panel | None = None) -> Windows:
    panel = panel or make_panel()
    return build_windows(panel, bars, panel.calendar)


def test_a_window_needs_a_whole_context_and_its_first_change() -> None:
    windows = build(make_bars(walk(12)))
    assert np.flatnonzero(windows.has_context).tolist() == [8, 9, 10, 11]
    assert np.flatnonzero(windows.has_target).tolist() == list(range(9))
    assert windows.before(windows.bars.ds[-1]).tolist() == [8]


def test_windows_do_not_cross_from_one_series_to_the_next() -> None:
    windows = build(make_bars(walk(12), walk(12, seed=1)))
    assert windows.before(windows.bars.ds.max()).tolist() == [8, 20]


def test_training_targets_end_by_the_end_and_held_out_ones_begin_after_it() -> None:
    windows = build(make_bars(walk(30)))
    end = windows.bars.ds[20]
    assert windows.before(end).tolist() == list(range(8, 18))
    assert windows.after(end).tolist() == list(range(20, 27))


def test_targets_are_cumulative_log_changes() -> None:
    windows = build(make_bars([1.0, 2.0] * 4 + [4.0, 8.0, 4.0, 16.0]))
    assert windows.targets(np.array([8])) == pytest.approx(np.log([[2, 1, 4]]))
    assert windows.to_price(np.array([8]), np.log([[2.0, 1.0, 4.0]])) == pytest.approx(
        np.array([[8.0, 4.0, 16.0]])
    )


def test_differences_serve_prices_below_zero() -> None:
    panel = make_panel(transform="diff")
    windows = build(make_bars([5.0, -3.0, 0.0, 2.0] * 3), panel)
    assert windows.targets(np.array([8])) == pytest.approx(np.array([[-8.0, -5.0, -3.0]]))
    assert windows.to_price(np.array([8]), np.array([[-8.0]])) == pytest.approx(np.array([[-3.0]]))


def test_a_price_without_a_logarithm_names_the_series_the_day_and_the_fix() -> None:
    with pytest.raises(ModelError, match=r's0 has the price -37 on 2020-01-02, .* set transform = "diff"'):
        build(make_bars([20.0, -37.0, 10.0]))


def test_no_window_spans_a_long_gap() -> None:
    short = build(make_bars(walk(24), gap_after=11, gap=10))
    long = build(make_bars(walk(24), gap_after=11, gap=11))
    assert short.before(short.bars.ds[-1]).tolist() == list(range(8, 21))
    assert long.before(long.bars.ds[-1]).tolist() == [8, 20]


def test_a_change_across_a_long_gap_is_no_change() -> None:
    y = walk(24)
    jump = build(make_bars(y[:12] + [10 * price for price in y[12:]], gap_after=11, gap=11))
    calm = build(make_bars(y, gap_after=11, gap=11))
    assert jump.scale == pytest.approx(calm.scale)


def test_the_scale_is_the_root_of_the_weighted_mean_square_change() -> None:
    y = walk(40)
    changes = np.diff(np.log(y))
    weights = 0.5 ** (np.arange(39)[::-1] / 20)
    assert build(make_bars(y)).scale[-1] == pytest.approx(np.sqrt(np.average(changes**2, weights=weights)))


def test_scales_of_long_and_short_series_are_those_of_pandas() -> None:
    series = [walk(700), walk(1), walk(129, seed=1), walk(1000, seed=2)]
    windows = build(make_bars(*series, gap_after=40, gap=30))
    for y, start in zip(series, windows.bars.offsets, strict=False):
        squares = pd.Series(np.log(y)).diff() ** 2
        squares[41:42] = np.nan  # the change across the gap
        expected = squares.ewm(halflife=20, ignore_na=True).mean() ** 0.5
        found = windows.scale[start : start + len(y)]
        np.testing.assert_allclose(found, expected.fillna(0), rtol=1e-12)


def test_a_peg_does_not_let_the_scale_fade_to_nothing() -> None:
    moving, pegged = walk(200), [walk(200)[-1]] * 2000
    windows = build(make_bars(moving + pegged))
    overall = np.sqrt(np.mean(np.diff(np.log(moving + pegged)) ** 2))
    assert windows.scale[-1] == pytest.approx(0.1 * overall, rel=1e-3)


def test_a_series_that_never_moved_has_no_window() -> None:
    assert not build(make_bars([7.0] * 30)).has_context.any()


def test_contexts_are_changes_and_logarithms_of_volatilities_up_to_the_origin() -> None:
    y = walk(40)
    windows = build(make_bars(y))
    context = windows.contexts(np.array([30]))[0]
    assert context.shape == (8, 6)
    assert context[:, 0] == pytest.approx(np.diff(np.log(y))[22:30], rel=1e-4)
    assert np.exp(context[:, LOG_SCALE]) == pytest.approx(windows.scale[23:31], rel=1e-4)


def test_a_sampling_step_takes_every_so_manyth_bar_and_the_change_between() -> None:
    y = walk(60)
    windows = build(make_bars(y), make_panel(step=3))
    assert windows.context_bars == 24
    context = windows.contexts(np.array([40]))[0]
    at = np.arange(40 - 21, 41, 3)
    level = np.log(y)
    expected = (level[at] - level[at - 3]) / np.sqrt(3)
    assert context[:, 0] == pytest.approx(expected, rel=1e-4)


def test_intraday_windows_know_the_hour_and_the_day() -> None:
    panel = make_panel(freq="1h")
    bars = make_bars(walk(24 * 15))
    hourly = Bars(bars.ids, bars.offsets, START + np.arange(len(bars)) * np.timedelta64(1, "h"), bars.y)
    windows = build(hourly, panel)
    assert windows.features.shape[1] == feature_count(panel) == 6 + 6
    waves = windows.features[:, 6:]
    assert np.isfinite(waves).all()
    assert waves[: 24 * 7] == pytest.approx(waves[24 * 7 : 24 * 14], abs=1e-5)  # each week anew
    assert len(np.unique(waves[: 24 * 7].round(4), axis=0)) == 24 * 7  # no two hours of a week alike


def test_what_is_held_grows_with_the_bars_and_not_with_the_windows() -> None:
    windows = build(make_bars(walk(500)))
    held = [value for value in vars(windows).values() if isinstance(value, np.ndarray)]
    assert max(array.nbytes for array in held) <= 500 * feature_count(make_panel()) * 8


@dataclass(frozen=True)
class Slow:
    """Compute one window of one series in the obvious way."""

    y: np.ndarray

    def scale(self, at: int, half_life: float) -> float:
        changes = np.diff(np.log(self.y[: at + 1]))
        weights = 0.5 ** (np.arange(len(changes))[::-1] / half_life)
        floor = 0.1 * np.sqrt(np.mean(changes**2))
        return float(max(np.sqrt(np.average(changes**2, weights=weights)), floor))

    def context(self, at: int) -> np.ndarray:
        rows = []
        for bar in range(at - 7, at + 1):
            scale = self.scale(bar, 20)
            others = [max(self.plain(bar, half_life), 0.1 * scale) for half_life in (5, 60, 250, np.inf)]
            rows.append([np.log(self.y[bar] / self.y[bar - 1]), *np.log([scale, *others])])
        return np.array(rows)

    def plain(self, at: int, half_life: float) -> float:
        changes = np.diff(np.log(self.y[: at + 1]))
        weights = 0.5 ** (np.arange(len(changes))[::-1] / half_life)
        return float(np.sqrt(np.average(changes**2, weights=weights)))


# The first change is never 0: until a first change, volatility is 0 and has no logarithm.
PRICES = st.lists(st.floats(0.5, 2.0), min_size=14, max_size=40).filter(lambda y: y[0] != y[1])


@settings(max_examples=25)
@given(PRICES, PRICES)
def test_every_context_is_the_obvious_one(one: list[float], two: list[float]) -> None:
    windows = build(make_bars(one, two))
    origins = windows.before(windows.bars.ds.max())
    contexts = windows.contexts(origins)
    for row, origin in zip(contexts, origins, strict=True):
        series = windows.bars.series[origin]
        slow = Slow(np.array((one, two)[series]))
        expected = slow.context(int(windows.bars.age[origin]))
        assert row == pytest.approx(expected, abs=2e-3)


@settings(max_examples=25)
@given(PRICES, st.floats(0.1, 10.0), st.data())
def test_no_price_moves_anything_before_it(y: list[float], price: float, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(y) - 1))
    other = [*y[:at], price, *(value * 1.5 for value in y[at + 1 :])]
    before, after = build(make_bars(y)), build(make_bars(other))
    for name in ("level", "scale", "features", "run", "has_context"):
        assert np.array_equal(getattr(before, name)[:at], getattr(after, name)[:at]), name
    origins = np.flatnonzero(before.has_context[:at])
    assert np.array_equal(before.contexts(origins), after.contexts(origins))
