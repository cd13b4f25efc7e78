"""Panels of any size, and forecasts that later bars must not change."""

from dataclasses import replace

import numpy as np

from forecasting.models.training import load_network
from forecasting.models.volatility import VolatilityRegression
from forecasting.models.windows import build_windows
from forecasting.selection.gate import judge
from tests.forecasting.models.conftest import END, START, Trained, make_bars, make_panel, train


def test_one_series_of_500_bars_trains_passes_the_gate_and_forecasts() -> None:
    alone = train(make_panel(), make_bars(count=500, series=1))
    model = load_network(alone.panel, alone.network.model_bytes, alone.network.state)
    verdict = judge(alone.panel, model, alone.windows, END)
    assert verdict.gated
    assert verdict.model in ("stacked_lstm", "ewma_walk", "random_walk")
    assert np.isfinite(model.predict(alone.windows, alone.bars.last)).all()


def test_the_volatility_regression_knows_no_price_after_its_end(trained: Trained) -> None:
    bars = trained.bars
    later = replace(bars, y=np.where(bars.ds > END, 7.0, bars.y))
    before, after = (
        VolatilityRegression.fit(build_windows(trained.panel, some, trained.panel.calendar), END)
        for some in (bars, later)
    )
    np.testing.assert_array_equal(after.weights, before.weights)
    np.testing.assert_array_equal(after.table, before.table)


def test_the_gate_knows_no_price_after_the_as_of(trained: Trained) -> None:
    bars, as_of = trained.bars, START + np.timedelta64(380, "D")
    later = replace(bars, y=np.where(bars.ds > as_of, 7.0, bars.y))
    model = load_network(trained.panel, trained.network.model_bytes, trained.network.state)
    one, other = (
        judge(trained.panel, model, build_windows(trained.panel, some, trained.panel.calendar), END)
        for some in (bars.until(as_of), later.until(as_of))
    )
    assert one == other


def test_a_series_of_small_moves_is_not_drowned_by_one_of_large_ones() -> None:
    bars = make_bars(count=400, series=2)
    panel = make_panel()
    panel = panel.model_copy(update={"forecast": panel.forecast.model_copy(update={"transform": "diff"})})
    large = replace(bars, y=np.where(bars.series == 0, 1e12 * bars.y, 1e-6 * bars.y))
    fits = [
        VolatilityRegression.fit(build_windows(panel, some, panel.calendar), END).weights
        for some in (bars, large)
    ]
    np.testing.assert_allclose(fits[1], fits[0], atol=1e-4)
