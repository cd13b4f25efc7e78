"""Simulated markets show what real ones do: heavy tails, volatility with a long memory, and leverage."""

import zipfile

import numpy as np
import pandas as pd
import pytest

from forecasting.models.simulation.laws import DAILY, INTRADAY
from forecasting.models.simulation.markets import Length, simulate
from tests.conftest import SAMPLES

Facts = dict[str, np.ndarray]

# Medians over the series of panels that do not ship: adjusted closes of AAPL, FB, GOOG, IBM and MSFT, 2000 to
# 2013 (Quandl WIKI); spot Brent and Henry Hub to 2026-08-18 (EIA); hourly NZDUSD and gold, 2010 to 2016
# (OANDA); hourly bitcoin, 2019 to 2022-03-01.
STOCKS = {"kurtosis": 10.6, "memory_1": 0.178, "memory_20": 0.089, "memory_100": 0.064, "leverage": -0.035}
ENERGY = {"kurtosis": 90.9, "memory_1": 0.358, "memory_20": 0.120, "memory_100": 0.035, "leverage": 0.023}
HOURLY = {"kurtosis": 19.1, "memory_1": 0.195, "memory_20": 0.081, "memory_100": 0.043, "leverage": -0.009}
BITCOIN = {"kurtosis": 51.1, "memory_1": 0.279, "memory_20": 0.174, "memory_100": 0.118, "leverage": -0.041}
# A panel's median has to lie in the central 90% of simulated series, single series in the central 98%.
MEDIAN_BETWEEN, SERIES_BETWEEN = (0.05, 0.95), (0.01, 0.99)


def facts(changes: np.ndarray) -> Facts:
    """Kurtosis, autocorrelation of absolute changes, and leverage of N series; `changes` is (N, L)."""
    z = (changes - changes.mean(axis=1, keepdims=True)) / changes.std(axis=1, keepdims=True)
    size = np.abs(z)

    def correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.array([np.corrcoef(*pair)[0, 1] for pair in zip(first, second, strict=True)])

    memory = {f"memory_{lag}": correlation(size[:, :-lag], size[:, lag:]) for lag in (1, 20, 100)}
    leverage = correlation(z[:, :-1], size[:, 1:])
    return {"kurtosis": (z**4).mean(axis=1), **memory, "leverage": leverage}


@pytest.fixture(scope="module")
def simulated() -> dict[str, Facts]:
    length = Length(bars=4000, first=60, early=200, origins=2)
    found = {}
    for name, laws in (("daily", DAILY), ("intraday", INTRADAY)):
        level = simulate(laws, 200, length, np.random.default_rng(1), paths=2).level
        moving = np.diff(level.astype(np.float64), axis=0).T
        found[name] = facts(moving[moving.any(axis=1)])
    return found


@pytest.fixture(scope="module")
def currencies() -> Facts:
    """Of the euro's currencies before October 2016 that ever move by much."""
    with (
        zipfile.ZipFile(SAMPLES / "eurofxref-hist.zip") as archive,
        archive.open(archive.namelist()[0]) as file,
    ):
        rates = pd.read_csv(file, na_values=["N/A"], index_col="Date", parse_dates=True).sort_index()
    logs = np.log(rates[rates.index < "2016-10-01"].dropna(axis=1, how="all"))
    series = [logs[name].dropna().to_numpy() for name in logs]
    each = [facts(np.diff(one)[None]) for one in series if len(one) > 2000 and np.ptp(one) > 0.2]
    assert len(each) > 20
    return {name: np.array([one[name][0] for one in each]) for name in each[0]}


def outside(simulated: Facts, real: dict[str, float]) -> dict[str, float]:
    """The medians of a panel that few simulated series reach."""
    limits = {name: np.quantile(simulated[name], MEDIAN_BETWEEN) for name in real}
    return {name: value for name, value in real.items() if not limits[name][0] < value < limits[name][1]}


@pytest.mark.parametrize(
    ("kind", "real"),
    [("daily", STOCKS), ("daily", ENERGY), ("intraday", HOURLY), ("intraday", BITCOIN)],
    ids=["stocks", "energy", "hourly", "bitcoin"],
)
def test_a_real_panel_lies_among_simulated_markets(
    simulated: dict[str, Facts], kind: str, real: dict[str, float]
) -> None:
    assert outside(simulated[kind], real) == {}


def test_the_currencies_lie_among_simulated_markets(simulated: dict[str, Facts], currencies: Facts) -> None:
    medians = {name: float(np.median(values)) for name, values in currencies.items()}
    assert outside(simulated["daily"], medians) == {}


def test_nine_currencies_in_ten_lie_among_simulated_markets(
    simulated: dict[str, Facts], currencies: Facts
) -> None:
    for name, values in currencies.items():
        low, high = np.quantile(simulated["daily"][name], SERIES_BETWEEN)
        assert ((low < values) & (values < high)).mean() >= 0.9, name
