import numpy as np
import pytest

from forecasting.calendar import bar_calendar
from forecasting.models.business_time import SLOTS, BusinessTime, hour_of_week
from forecasting.models.windows import Windows, build_windows
from forecasting.panel import Panel
from forecasting.prices.bars import Bars


def windows_of(calendar: str, weeks: int, busy: range, freq: str = "1h", series: int = 1) -> Windows:
    """Prices that move three times as much in the hours `busy` of the UTC day."""
    panel = Panel.model_validate(
        {"name": "p", "source": {"uri": "x"}, "bars": {"freq": freq, "calendar": calendar}}
    )
    start = np.datetime64("2021-03-01T00:00", "us")
    ds = panel.calendar.bars(start, start + weeks * np.timedelta64(7, "D"))
    hour = (ds - ds.astype("datetime64[D]")) // np.timedelta64(1, "h")
    size = np.where(np.isin(hour, list(busy)), 0.003, 0.001)
    rng = np.random.default_rng(0)
    y = np.concatenate([np.exp((rng.standard_normal(len(ds)) * size).cumsum()) for _ in range(series)])
    bars = Bars(
        ids=tuple(f"s{n}" for n in range(series)),
        offsets=np.arange(series + 1) * len(ds),
        ds=np.tile(ds, series),
        y=y,
    )
    return build_windows(panel, bars, panel.calendar)


def test_the_profile_finds_the_busy_hours() -> None:
    windows = windows_of("24/7", 40, range(13, 17))
    clock = BusinessTime.fit(windows, windows.bars.ds[-1])
    assert clock.variance is not None
    ds = windows.bars.ds[:168]
    hour = (ds - ds.astype("datetime64[D]")) // np.timedelta64(1, "h")
    variance = clock.variance[hour_of_week(windows.calendar, ds)]
    ratio = variance[np.isin(hour, range(13, 17))].mean() / variance[~np.isin(hour, range(13, 17))].mean()
    assert ratio == pytest.approx(9, rel=0.25)


def test_a_week_has_its_own_length_and_a_quiet_night_is_shorter() -> None:
    windows = windows_of("24/7", 40, range(13, 17))
    clock = BusinessTime.fit(windows, windows.bars.ds[-1])
    hour = (windows.bars.ds - windows.bars.ds.astype("datetime64[D]")) // np.timedelta64(1, "h")
    noon, evening = np.flatnonzero(hour == 12)[20], np.flatnonzero(hour == 20)[20]
    ahead = clock.stretch(windows, np.array([noon, evening]), np.array([1, 4, 168]))
    assert ahead[0, 1] > 1.5
    assert ahead[1, 1] < 1
    np.testing.assert_allclose(ahead[:, 2], 1, rtol=0.05)


def test_later_prices_do_not_change_the_profile() -> None:
    windows = windows_of("24/7", 40, range(13, 17))
    half = windows.bars.ds[len(windows.bars) // 2]
    known = build_windows_until(windows, half)
    assert np.array_equal(
        BusinessTime.fit(windows, half).variance,  # type: ignore[arg-type]
        BusinessTime.fit(known, half).variance,  # type: ignore[arg-type]
    )


def build_windows_until(windows: Windows, end: np.datetime64) -> Windows:
    panel = Panel.model_validate({"name": "p", "source": {"uri": "x"}, "bars": {"freq": "1h"}})
    return build_windows(panel, windows.bars.until(end), windows.calendar)


def test_a_short_panel_and_a_daily_one_have_no_profile() -> None:
    short = windows_of("24/7", 4, range(13, 17))
    assert BusinessTime.fit(short, short.bars.ds[-1]).variance is None
    daily = windows_of("XNYS", 60, range(13, 17), freq="1D")
    assert BusinessTime.fit(daily, daily.bars.ds[-1]).variance is None


def test_without_a_profile_changes_and_widths_stay() -> None:
    windows = windows_of("24/7", 4, range(0))
    places = np.arange(1, 20)
    changes = BusinessTime().changes(windows, places)
    assert np.array_equal(changes, windows.level[places] - windows.level[places - 1])
    assert (BusinessTime().stretch(windows, places, np.array([1, 72])) == 1).all()


def test_the_hour_of_the_session_follows_the_market_through_changes_of_the_clock() -> None:
    nyse = bar_calendar("XNYS", "1h")
    # New York's clocks go forward on 2026-03-08: the session opens at 14:30 UTC before, and at 13:30 after.
    friday, monday, next_friday = (
        np.datetime64(text, "us") for text in ("2026-03-06T14:30", "2026-03-09T13:30", "2026-03-13T13:30")
    )
    slots = hour_of_week(nyse, np.array([friday, monday, next_friday]))
    assert slots[0] == slots[2] != slots[1]
    assert (slots < SLOTS).all()


def test_the_bars_after_skip_nights_and_weekends() -> None:
    nyse = bar_calendar("XNYS", "1h")
    after = nyse.after(np.array([np.datetime64("2026-03-06T20:30", "us")]), 2)
    assert after.astype("datetime64[m]").astype(str).tolist() == [["2026-03-09T13:30", "2026-03-09T14:30"]]
