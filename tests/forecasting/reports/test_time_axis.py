import numpy as np
import pandas as pd

from forecasting.reports.time_axis import mark_times


def _times(start: str, periods: int, freq: str) -> np.ndarray:
    return pd.date_range(start, periods=periods, freq=freq).to_numpy()


def test_a_year_of_days_is_marked_by_quarters() -> None:
    positions, names = mark_times(_times("2025-11-10", 322, "B"), daily=True, at_most=8)
    assert names == ["Jan\n2026", "Apr\n", "Jul\n", "Oct\n", "Jan\n2027"]
    assert positions[0] == np.busday_count("2025-11-10", "2026-01-01")


def test_a_few_days_of_hours_are_marked_by_days() -> None:
    _, names = mark_times(_times("2026-02-27 12:00", 80, "h"), daily=False, at_most=5)
    assert names == ["28 Feb\n2026", "1 Mar\n", "2 Mar\n"]


def test_weeks_begin_on_monday() -> None:
    positions, names = mark_times(_times("2026-10-01", 40, "D"), daily=True, at_most=6)
    assert [name.split("\n")[0] for name in names] == [
        "5 Oct",
        "12 Oct",
        "19 Oct",
        "26 Oct",
        "2 Nov",
        "9 Nov",
    ]
    assert positions.tolist() == [4, 11, 18, 25, 32, 39]


def test_hours_are_marked_for_minutes() -> None:
    _, names = mark_times(_times("2026-10-30 22:30", 150, "min"), daily=False, at_most=5)
    assert names == ["23:00\n30 Oct", "00:00\n31 Oct"]


def test_daily_bars_are_never_marked_by_hours() -> None:
    _, names = mark_times(_times("2026-10-01", 4, "D"), daily=True, at_most=5)
    assert names == ["2 Oct\n2026", "3 Oct\n", "4 Oct\n"]


def test_a_night_takes_no_room_and_its_names_do_not_overlap() -> None:
    friday, monday = _times("2026-10-30 21:00", 1, "h"), _times("2026-11-02 00:00", 80, "h")
    thursday = _times("2026-10-29 08:00", 30, "h")
    positions, _ = mark_times(np.concatenate([thursday, friday, monday]), daily=False, at_most=8)
    assert np.diff(positions).min() > 111 / 12


def test_one_bar_has_no_mark() -> None:
    positions, names = mark_times(_times("2026-10-30", 1, "D"), daily=True, at_most=5)
    assert (positions.size, names) == (0, [])
