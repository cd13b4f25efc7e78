"""Spikes and splits on real prices: each case lists the few days around the event."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.calendar import bar_calendar
from forecasting.panel import Panel
from forecasting.prices.audit.jumps import find_jumps, find_splits, split_name
from forecasting.prices.audit.series import SeriesAudit, audit_series
from forecasting.prices.bars import Bars
from forecasting.prices.sources import read_source

# Closes and volumes (millions) around each event, as the sources have them: Quandl WIKI and the US EIA.
APPLE_SPLIT_2000 = (
    [94.5, 90.44, 92.37, 91.19, 96.62, 101.25, 55.63, 53.75, 51.69, 54.13, 51.75, 54.44],
    [3.1, 2.5, 2.2, 2.7, 3.5, 4.5, 4.4, 8.4, 3.7, 3.3, 3.6, 5.1],
)
APPLE_CRASH_2000 = (
    [56.69, 52.19, 53.5, 51.44, 48.94, 53.5, 25.75, 24.25, 22.31, 23.62, 22.06, 22.19],
    [9.1, 13.0, 7.8, 5.2, 7.2, 17.5, 132.5, 43.3, 36.4, 26.2, 15.6, 10.9],
)
APPLE_SPLIT_2005 = (
    [87.81, 86.81, 85.29, 88.23, 88.93, 88.99, 44.86, 44.5, 44.12, 41.79, 42.81, 42.75],
    [27.1, 20.8, 21.8, 24.0, 27.1, 16.3, 11.6, 16.7, 16.4, 50.4, 27.0, 16.1],
)
MICROSOFT_SPLIT_2003 = (
    [46.58, 47.38, 46.44, 46.44, 46.99, 48.3, 24.96, 24.53, 24.14, 24.63, 24.07, 24.19],
    [37.6, 37.0, 42.1, 35.7, 36.8, 45.2, 28.7, 46.9, 50.9, 56.9, 62.4, 68.1],
)
HENRY_HUB = {
    "2024-01-12": [2.83, 2.75, 2.72, 3.25, 3.25, 3.15, 13.2, 3.25, 2.86, 2.88, 2.7, 2.35],
    "2021-02-17": [3.4, 3.35, 3.76, 6.5, 6.12, 11.32, 23.86, 8.56, 4.96, 3.16, 2.94, 2.8],
    "2026-01-23": [3.13, 2.92, 3.06, 4.0, 4.96, 8.42, 30.72, 25.01, 17.19, 9.34, 10.25, 7.18],
}
# The last fixings of the old lira per euro and the first of the new, which the ECB has under two names.
OLD_LIRA = [1_854_638.0, 1_834_938.0, 1_840_700.0, 1_849_500.0, 1_829_000.0, 1_836_200.0]
NEW_LIRA = [1.8150, 1.8070, 1.8329, 1.8450, 1.8250, 1.8155]
JUMP = 66  # where the bar after the sixth of those stands, behind 60 quiet ones


def quiet(level: float, scale: float, count: int = 60) -> np.ndarray:
    """A past around `level` whose median absolute change is `scale`."""
    return level * np.exp(scale / 2 * np.where(np.arange(count) % 2, 1, -1))


def bars_of(**series: Any) -> Bars:
    names = [name for name, prices in series.items() for _ in prices]
    days = [
        np.datetime64("2000-01-01", "us") + np.timedelta64(at, "D")
        for p in series.values()
        for at in range(len(p))
    ]
    closes = np.concatenate([np.asarray(prices, float) for prices in series.values()])
    return Bars.from_table(
        pa.table({"unique_id": names, "ds": pa.array(np.array(days)), "close": closes}), "close"
    )


@pytest.fixture
def panel(make_panel: Callable[..., Panel]) -> Panel:
    return make_panel({"uri": "nowhere.csv"}, model={"context": 20})


def splits(
    panel: Panel, prices: list[float], scale: float, volumes: list[float] | None = None
) -> list[tuple[int, str]]:
    bars = bars_of(A=np.concatenate([quiet(prices[0], scale), prices]))
    volume = np.full(len(bars), np.nan)
    if volumes is not None:
        volume = np.concatenate([np.full(60, volumes[0]), volumes])
    found = find_splits(bars, find_jumps(bars, panel), volume, panel)
    return [(int(at), split_name(ratio)) for at, ratio in zip(found.at, found.ratio, strict=True)]


@pytest.mark.parametrize(
    ("event", "usual"),
    [(APPLE_SPLIT_2000, 0.035), (APPLE_SPLIT_2005, 0.012), (MICROSOFT_SPLIT_2003, 0.014)],
    ids=["AAPL 2000-06-21", "AAPL 2005-02-28", "MSFT 2003-02-18"],
)
def test_real_splits_are_found(panel: Panel, event: tuple[list[float], list[float]], usual: float) -> None:
    prices, volumes = event
    assert splits(panel, prices, usual, volumes) == [(JUMP, "2:1")]
    assert splits(panel, prices, usual) == [(JUMP, "2:1")]


def test_the_redenomination_of_the_lira_is_found(panel: Panel) -> None:
    assert splits(panel, [*OLD_LIRA, *NEW_LIRA], 0.004) == [(JUMP, "1e+06:1")]


def test_a_reverse_split_is_found(panel: Panel) -> None:
    prices = [1.02, 1.01, 1.0, 1.01, 1.0, 1.02, 10.1, 10.2, 10.0, 10.1, 10.2, 10.1]
    assert splits(panel, prices, 0.01) == [(JUMP, "1:10")]


def test_a_halving_that_is_traded_as_news_is_no_split(panel: Panel) -> None:
    assert splits(panel, APPLE_CRASH_2000[0], 0.03, APPLE_CRASH_2000[1]) == []
    assert splits(panel, APPLE_CRASH_2000[0], 0.03) == [(JUMP, "2:1")]  # without volumes nobody can know


@pytest.mark.parametrize("prices", HENRY_HUB.values(), ids=HENRY_HUB)
@pytest.mark.parametrize("usual", [0.01, 0.03, 0.06])
def test_gas_that_costs_four_times_as_much_for_a_day_is_no_split(
    panel: Panel, prices: list[float], usual: float
) -> None:
    assert splits(panel, prices, usual) == []


@pytest.mark.parametrize("later", range(6))
def test_a_split_is_called_when_five_bars_have_kept_its_level(panel: Panel, later: int) -> None:
    prices = APPLE_SPLIT_2005[0][: 7 + later]
    assert splits(panel, prices, 0.012) == ([(JUMP, "2:1")] if later >= 5 else [])


def test_differences_know_no_splits(make_panel: Callable[..., Panel]) -> None:
    panel = make_panel({"uri": "nowhere.csv"}, forecast={"transform": "diff"})
    assert splits(panel, APPLE_SPLIT_2005[0], 0.012) == []


def test_the_usual_change_is_the_median_of_the_block_before(panel: Panel) -> None:
    bars = bars_of(A=np.concatenate([quiet(10, 0.01), [10.0]]))
    jumps = find_jumps(bars, panel)
    assert jumps.scale[60] == pytest.approx(0.01)
    assert np.isnan(jumps.scale[:60]).all()


def test_a_series_that_never_moved_has_no_usual_change(panel: Panel) -> None:
    assert np.isnan(find_jumps(bars_of(A=[7.0] * 60 + [9.0]), panel).size).all()


def test_each_series_has_its_own_usual_change(panel: Panel) -> None:
    calm, wild = quiet(10, 0.001, 130), quiet(10, 0.1, 130)
    together = find_jumps(bars_of(A=calm, B=wild, C=[1.0, 2.0]), panel).scale
    apart = [find_jumps(bars_of(A=prices), panel).scale for prices in (calm, wild, [1.0, 2.0])]
    np.testing.assert_array_equal(together, np.concatenate(apart))


def test_a_change_over_four_days_may_be_twice_as_large(panel: Panel) -> None:
    days = [*range(70), 73]
    prices = [*quiet(10, 0.01, 70), 10.0]
    ds = np.datetime64("2000-01-01", "us") + np.array(days) * np.timedelta64(1, "D")
    bars = Bars.from_table(pa.table({"unique_id": ["A"] * 71, "ds": pa.array(ds), "close": prices}), "close")
    assert find_jumps(bars, panel).scale[[69, 70]] == pytest.approx([0.01, 0.02])


@given(data=st.data(), cut=st.integers(1, 200))
def test_nothing_later_changes_a_jump_or_its_scale(
    data: st.DataObject, cut: int, make_panel: Callable[..., Panel]
) -> None:
    panel = make_panel({"uri": "nowhere.csv"})
    prices = np.array(data.draw(st.lists(st.sampled_from([1.0, 1.1, 2.0, 4.0]), min_size=200, max_size=200)))
    whole, part = (find_jumps(bars_of(A=some), panel) for some in (prices, prices[:cut]))
    np.testing.assert_array_equal(whole.change[:cut], part.change)
    np.testing.assert_array_equal(whole.scale[:cut], part.scale)


@pytest.fixture(scope="module")
def ecb_bars(ecb_panel: Panel) -> Bars:
    return Bars.from_table(pa.concat_tables(read_source(ecb_panel)), "close")


def ecb_audit(ecb_panel: Panel, bars: Bars, as_of: str) -> SeriesAudit:
    return audit_series(bars, ecb_panel, bar_calendar("ECB", "1D"), np.datetime64(as_of, "us"))


def test_the_franc_without_its_floor_is_a_spike_and_no_split(ecb_panel: Panel, ecb_bars: Bars) -> None:
    audited = ecb_audit(ecb_panel, ecb_bars, "2015-01-30")
    franc = {finding.code: finding for finding in audited.findings if finding.unique_id == "EURCHF"}
    assert list(franc) == ["P106"]
    assert "from 1.201 to 1.028 on 2015-01-15" in franc["P106"].detail
    assert "EURCHF" in audited.forecast


def test_no_currency_of_the_ecb_was_ever_split(ecb_panel: Panel, ecb_bars: Bars) -> None:
    nothing_known = np.full(len(ecb_bars), np.nan)
    assert len(find_splits(ecb_bars, find_jumps(ecb_bars, ecb_panel), nothing_known, ecb_panel).at) == 0


def test_a_split_is_a_finding_with_its_day_and_what_to_do(panel: Panel) -> None:
    bars = bars_of(A=np.concatenate([quiet(87.81, 0.012), APPLE_SPLIT_2005[0]]))
    audited = audit_series(bars, panel, panel.calendar, bars.ds[-1])
    (finding,) = audited.findings
    assert (finding.code, finding.unique_id) == ("P107", "A")
    assert finding.detail.startswith("2:1, from 88.99 to 44.86 on 2000-03-07: ")
    assert "adjust_splits" in finding.detail


def test_a_panel_says_itself_what_a_spike_is(make_panel: Callable[..., Panel]) -> None:
    bars = bars_of(A=[*quiet(10, 0.01), 10.4, 10.5, 10.4])

    def said(**audit: float) -> list[str]:
        panel = make_panel({"uri": "nowhere.csv"}, audit=audit, model={"context": 20})
        return [finding.code for finding in audit_series(bars, panel, panel.calendar, bars.ds[-1]).findings]

    assert (said(), said(spike_scales=3)) == ([], ["P106"])
