"""The pretrained network on a panel: what it never does, what it learns, and how little that may be."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import ModelError
from forecasting.models.baselines import EwmaWalk
from forecasting.models.pretrained_lstm import PanelFit, PretrainedLstm, knot_steps
from forecasting.models.shipped import shipped_bytes, shipped_network
from forecasting.models.training import load_network, train_network
from forecasting.models.windows import Windows, build_windows
from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.progress import silent

START = np.datetime64("2020-01-01", "us")


def panel_of(freq: str = "1D", calendar: str = "24/7", **forecast: object) -> Panel:
    bars = {"freq": freq, "calendar": calendar}
    return Panel.model_validate({"name": "p", "source": {"uri": "x"}, "bars": bars, "forecast": forecast})


def bars_of(changes: np.ndarray, base: float = 100.0) -> Bars:
    """Series (S, N) of log changes."""
    series, count = changes.shape
    return Bars(
        ids=tuple(f"s{number}" for number in range(series)),
        offsets=np.arange(series + 1) * count,
        ds=np.tile(START + np.arange(count) * np.timedelta64(1, "D"), series),
        y=(base * np.exp(changes.cumsum(axis=1))).ravel(),
    )


def walks(count: int, series: int = 3, seed: int = 0, drift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(drift, 0.01, (series, count))


def windows_of(bars: Bars, panel: Panel) -> Windows:
    return build_windows(panel, bars, panel.calendar)


def fitted(bars: Bars, panel: Panel, end: np.datetime64) -> PretrainedLstm:
    return PretrainedLstm(shipped_network(), PanelFit.fit(shipped_network(), windows_of(bars, panel), end))


def last_of(bars: Bars) -> np.datetime64:
    return bars.ds.max()


@pytest.mark.parametrize("horizon", [1, 72, 250])
def test_quantiles_never_cross_at_any_horizon(horizon: int) -> None:
    panel = panel_of(horizon=horizon)
    bars = bars_of(walks(900))
    model = fitted(bars, panel, last_of(bars))
    windows = windows_of(bars, panel)
    quantiles = model.predict(windows, windows.bars.last)
    assert quantiles.shape == (3, horizon, 11)
    assert (np.diff(quantiles, axis=-1) >= 0).all()
    assert np.isfinite(quantiles).all()


@settings(max_examples=40)
@given(
    st.integers(60, 200),
    st.floats(1e-6, 0.5),
    st.floats(-0.05, 0.05),
    st.sampled_from(["log", "diff"]),
    st.integers(0, 5),
)
def test_whatever_the_prices_quantiles_are_finite_and_do_not_cross(
    count: int, size: float, drift: float, transform: str, seed: int
) -> None:
    changes = np.random.default_rng(seed).standard_t(3, (2, count)) * size + drift
    changes[1, ::7] = 0
    panel = panel_of(transform=transform)
    bars = bars_of(np.clip(changes, -2, 2))
    model = fitted(bars, panel, last_of(bars))
    windows = windows_of(bars, panel)
    quantiles = model.predict(windows, windows.bars.last)
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=-1) >= 0).all()


def test_later_prices_change_neither_the_fit_nor_a_forecast() -> None:
    panel, changes = panel_of(), walks(700)
    other = changes.copy()
    other[:, 500:] *= 5
    end = START + np.timedelta64(499, "D")
    before, after = (bars_of(some) for some in (changes, other))
    models = [fitted(bars, panel, end) for bars in (before, after)]
    assert models[0].fit == models[1].fit
    origins = np.array([499, 700 + 499])
    forecasts = [
        model.predict(windows_of(bars, panel), origins)
        for model, bars in zip(models, (before, after), strict=True)
    ]
    assert np.array_equal(*forecasts)


def test_the_unit_of_the_prices_does_not_matter() -> None:
    panel, changes = panel_of(), walks(400)
    small, large = (bars_of(changes, base=base) for base in (0.001, 1e6))
    forecasts = []
    for bars in (small, large):
        windows = windows_of(bars, panel)
        forecasts.append(fitted(bars, panel, last_of(bars)).predict(windows, windows.bars.last))
    np.testing.assert_allclose(*forecasts, rtol=1e-4, atol=1e-8)


def test_sixty_bars_are_enough_to_forecast_from() -> None:
    panel, bars = panel_of(), bars_of(walks(60))
    windows = windows_of(bars, panel)
    assert windows.has_context[windows.bars.last].all()
    model = fitted(bars, panel, last_of(bars))
    quantiles = model.predict(windows, windows.bars.last)
    width = (quantiles[:, 0, 9] - quantiles[:, 0, 1]) / (2 * 1.2816 * 0.01)
    assert ((width > 0.6) & (width < 1.6)).all()  # of the true normal law's


def test_a_panel_that_can_tell_nothing_leaves_the_network_alone() -> None:
    panel, bars = panel_of(), bars_of(walks(100))
    early = PanelFit.fit(shipped_network(), windows_of(bars, panel), START)
    assert (early.training_windows, early.regression_weight) == (0, 0.0)
    assert set(early.trust) == {0.0}
    alone = PretrainedLstm(shipped_network(), early)
    windows = windows_of(bars, panel)
    assert np.isfinite(alone.predict(windows, windows.bars.last)).all()


def test_little_history_is_trusted_less_than_much() -> None:
    panel = panel_of()
    fits = [
        fitted(bars_of(walks(count, series=1)), panel, START + np.timedelta64(count, "D")).fit
        for count in (200, 800, 4000)
    ]
    trust = [fit.trust[-1] for fit in fits]
    assert 0 <= trust[0] < trust[1] < trust[2] < 0.25


def test_the_fans_width_on_a_normal_walk_is_the_laws() -> None:
    panel, bars = panel_of(), bars_of(walks(3000, series=8, seed=3))
    model = fitted(bars, panel, last_of(bars))
    windows = windows_of(bars, panel)
    origins = np.flatnonzero(windows.has_context & windows.has_target)[::97]
    quantiles = model.predict(windows, origins)
    targets = windows.targets(origins)
    inside = (quantiles[..., 1] <= targets) & (targets <= quantiles[..., 9])
    assert inside.mean() == pytest.approx(0.8, abs=0.04)


def test_a_network_beats_the_ewma_walk_where_volatility_returns_to_its_mean() -> None:
    rng = np.random.default_rng(1)
    log_volatility = np.zeros((6, 2500))
    for t in range(1, 2500):
        log_volatility[:, t] = 0.98 * log_volatility[:, t - 1] + rng.normal(0, 0.12, 6)
    bars = bars_of(0.01 * np.exp(log_volatility) * rng.standard_normal((6, 2500)))
    panel, end = panel_of(), START + np.timedelta64(1500, "D")
    windows = windows_of(bars, panel)
    origins = windows.after(end)[::23]
    targets = windows.targets(origins)
    levels = np.array([0.05, *np.arange(1, 10) / 10, 0.95])

    def loss(quantiles: np.ndarray) -> float:
        error = targets[..., None] - quantiles
        pinball = np.maximum(levels * error, (levels - 1) * error).mean(axis=-1)
        return float((pinball / windows.scale[origins, None]).mean())

    walk = EwmaWalk.fit(windows, end)
    assert loss(fitted(bars, panel, end).predict(windows, origins)) < 0.99 * loss(
        walk.predict(windows, origins)
    )


def test_training_again_gives_the_same_weights_and_stores_the_shipped_file() -> None:
    panel, bars = panel_of(), bars_of(walks(500))
    first, again = (train_network(panel, bars, last_of(bars), silent) for _ in range(2))
    assert first.facts["weights_digest"] == again.facts["weights_digest"]
    assert (first.model_bytes, first.state) == (again.model_bytes, again.state)
    model = load_network(panel, first.model_bytes, first.state)
    windows = windows_of(bars, panel)
    assert np.array_equal(
        model.predict(windows, windows.bars.last),
        fitted(bars, panel, last_of(bars)).predict(windows, windows.bars.last),
    )


def test_a_fit_is_kept_as_a_record() -> None:
    bars = bars_of(walks(500))
    fit = fitted(bars, panel_of(), last_of(bars)).fit
    assert PanelFit.from_json(fit.to_json()) == fit


def test_the_weight_moves_the_forecast_from_the_network_to_the_regression() -> None:
    panel, bars = panel_of(), bars_of(walks(900))
    windows = windows_of(bars, panel)
    model = fitted(bars, panel, last_of(bars))
    network, half, regression = (
        replace(model, fit=replace(model.fit, regression_weight=weight)).predict(windows, bars.last)
        for weight in (0.0, 0.5, 1.0)
    )
    np.testing.assert_allclose(half, (network + regression) / 2)
    assert not np.allclose(network, regression)


@pytest.mark.parametrize(("horizon", "steps"), [(1, [1]), (3, [1, 2, 3]), (72, None), (250, None)])
def test_knots_are_distinct_steps_from_one_to_the_horizon(horizon: int, steps: list[int] | None) -> None:
    found = knot_steps(horizon)
    assert (found[0], found[-1]) == (1, horizon)
    assert (np.diff(found) > 0).all()
    if steps is not None:
        assert found.tolist() == steps


def test_forecasting_imports_no_tensorflow() -> None:
    code = (
        "import sys, forecasting.models.training, forecasting.models.pretrained_lstm as p;"
        "from forecasting.models.shipped import shipped_network; shipped_network();"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


ROW = tuple(float(level) for level in range(11))


@pytest.mark.parametrize(
    "fit",
    [
        {},
        {"steps": [1, 5], "table": [ROW], "trust": [0.5, 0.5]},
        {"steps": [1], "table": [ROW[:10]], "trust": [0.5]},
        {"steps": [1, 5], "table": [ROW, ROW[:3]], "trust": [0.5, 0.5]},
        {"steps": [1], "table": [ROW], "trust": []},
        {"steps": [1], "table": [ROW], "trust": [0.5], "regression_weight": 0.5},
    ],
)
def test_a_damaged_fit_is_refused_when_it_is_loaded(fit: dict[str, object]) -> None:
    panel = Panel.model_validate({"name": "p", "source": {"uri": "prices.csv"}})
    with pytest.raises(ModelError, match=r"the model of panel p is damaged: .*; run with --mode"):
        load_network(panel, shipped_bytes(), {"fit": fit})
