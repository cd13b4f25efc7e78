import csv
import zipfile
from collections.abc import Iterable
from pathlib import Path

import exchange_calendars
import holidays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.calendar import bar_calendar, check_calendar
from forecasting.errors import PanelError

ANSWERS = Path(__file__).parent / "answers"
SAMPLES = Path(__file__).parents[2] / "samples"

KINDS = [
    ("XNYS", "1D"),
    ("XNYS", "1h"),
    ("XNYS", "1min"),
    ("XNZE", "1D"),
    ("XTKS", "1h"),
    ("XHKG", "15min"),
    ("CMES", "1h"),
    ("FX", "1D"),
    ("FX", "1h"),
    ("24/7", "1D"),
    ("24/7", "5min"),
    ("ECB", "1D"),
    ("FED", "1D"),
]
every_kind = pytest.mark.parametrize(("name", "freq"), KINDS, ids=lambda part: part)
# The first example also builds the calendar.
steady = settings(deadline=None, derandomize=True)
instants = st.integers(
    min_value=np.datetime64("1999-01-10", "s").astype(int),
    max_value=np.datetime64("2026-12-31", "s").astype(int),
).map(lambda seconds: np.datetime64(seconds, "s").astype("datetime64[us]"))


def at(*stamps: str) -> np.ndarray:
    return np.array(stamps, "datetime64[us]")


def bars_of(name: str, freq: str, first: str, last: str) -> np.ndarray:
    """Return the bars from the start of day `first` to the end of day `last`."""
    end = np.datetime64(last, "us") + np.timedelta64(1, "D") - np.timedelta64(1, "us")
    return bar_calendar(name, freq).bars(np.datetime64(first), end)


def hours(bars: np.ndarray) -> list[str]:
    return [str(ds)[11:16] for ds in bars]


def weekdays(first: str, last: str, but: Iterable[str] = ()) -> np.ndarray:
    days = np.arange(np.datetime64(first), np.datetime64(last) + 1)
    return days[np.is_busday(days, holidays=list(but))].astype("datetime64[us]")


# --- Known answers: NYSE ---
# answers/nyse_closures.csv. 2022-2024: every closure in "NYSE Group Announces 2022, 2023 and 2024 Holiday and
# Early Closings Calendar" (27 December 2021). Before: the unplanned closures since 1990,
# https://www.elitetrader.com/et/threads/nyse-atypical-unplanned-closures.363312/


def nyse_closures() -> list[dict[str, str]]:
    with (ANSWERS / "nyse_closures.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_nyse_daily_bars_are_the_published_trading_days() -> None:
    closed = [row["date"] for row in nyse_closures() if not row["closes"]]
    expected = weekdays("2022-01-03", "2024-12-31", but=closed)
    assert np.array_equal(bars_of("XNYS", "1D", "2022-01-01", "2024-12-31"), expected)


def test_nyse_was_closed_on_its_unplanned_closures() -> None:
    closed = at(*[row["date"] for row in nyse_closures() if row["date"] < "2022"])
    assert not bar_calendar("XNYS", "1D").contains(closed).any()


def test_nyse_days_are_those_of_another_library() -> None:
    # `holidays` keeps its own list of the exchange's closures.
    closed = [str(day) for day in holidays.financial_holidays("XNYS", years=range(1990, 2027))]
    assert np.array_equal(
        bars_of("XNYS", "1D", "1990-01-01", "2026-12-31"), weekdays("1990-01-01", "2026-12-31", but=closed)
    )


def test_nyse_closes_at_one_on_its_published_early_closes() -> None:
    early = at(*[row["date"] for row in nyse_closures() if row["closes"] == "13:00"])
    closes = bar_calendar("XNYS", "1D").closes(early)
    # 13:00 New York: 18:00 UTC in winter, 17:00 UTC in summer.
    assert hours(closes) == ["18:00" if str(day)[5:7] in {"11", "12"} else "17:00" for day in early]
    assert np.array_equal(closes.astype("datetime64[D]"), early.astype("datetime64[D]"))


def test_nyse_closes_at_four_on_a_normal_day() -> None:
    closes = bar_calendar("XNYS", "1D").closes(at("2024-01-03", "2024-07-02"))
    assert np.array_equal(closes, at("2024-01-03T21:00", "2024-07-02T20:00"))


def test_nyse_hours_begin_at_half_past_and_the_last_bar_is_half_an_hour() -> None:
    bars = bars_of("XNYS", "1h", "2024-12-23", "2024-12-23")
    assert hours(bars) == ["14:30", "15:30", "16:30", "17:30", "18:30", "19:30", "20:30"]
    assert hours(bar_calendar("XNYS", "1h").closes(bars))[-2:] == ["20:30", "21:00"]


def test_nyse_hours_end_with_an_early_close() -> None:
    bars = bars_of("XNYS", "1h", "2024-11-29", "2024-11-29")
    assert hours(bars) == ["14:30", "15:30", "16:30", "17:30"]
    assert hours(bar_calendar("XNYS", "1h").closes(bars))[-1] == "18:00"


def test_nyse_full_day_has_390_minutes() -> None:
    assert len(bars_of("XNYS", "1min", "2024-12-23", "2024-12-23")) == 390


# --- Known answers: clock changes ---
# United States: second Sunday of March (Energy Policy Act of 2005, section 110), 2024-03-10. European Union
# and United Kingdom: last Sunday of March (Directive 2000/84/EC), 2024-03-31.


@pytest.mark.parametrize(
    ("name", "day", "opens"),
    [
        ("XNYS", "2024-03-08", "14:30"),
        ("XNYS", "2024-03-11", "13:30"),
        ("XNYS", "2024-03-28", "13:30"),
        ("XLON", "2024-03-08", "08:00"),
        ("XLON", "2024-03-11", "08:00"),
        ("XLON", "2024-03-28", "08:00"),
        ("XLON", "2024-04-02", "07:00"),
    ],
)
def test_exchanges_open_by_their_own_clock(name: str, day: str, opens: str) -> None:
    assert hours(bars_of(name, "1h", day, day))[0] == opens


@pytest.mark.parametrize(
    ("friday", "last_bar", "sunday", "first_bar"),
    [
        ("2024-03-01", "21:00", "2024-03-03", "22:00"),
        ("2024-03-08", "21:00", "2024-03-10", "21:00"),
        ("2024-03-15", "20:00", "2024-03-17", "21:00"),
        ("2024-11-01", "20:00", "2024-11-03", "22:00"),
    ],
)
def test_fx_week_turns_at_five_in_new_york(friday: str, last_bar: str, sunday: str, first_bar: str) -> None:
    weekend = bars_of("FX", "1h", friday, sunday)
    gap = int(np.argmax(np.diff(weekend)))
    assert str(weekend[gap])[:16] == f"{friday}T{last_bar}"
    assert str(weekend[gap + 1])[:16] == f"{sunday}T{first_bar}"


def test_fx_has_one_gap_a_week() -> None:
    steps = np.diff(bars_of("FX", "1h", "2024-01-01", "2024-12-31")) / np.timedelta64(1, "h")
    assert np.count_nonzero(steps != 1) == 52
    assert set(steps[steps != 1]) == {48, 49, 50}


def test_fx_trading_dates_are_weekdays_and_close_at_five_in_new_york() -> None:
    bars = bars_of("FX", "1D", "2024-03-08", "2024-03-12")
    assert np.array_equal(bars, at("2024-03-08", "2024-03-11", "2024-03-12"))
    assert np.array_equal(
        bar_calendar("FX", "1D").closes(bars), at("2024-03-08T22:00", "2024-03-11T21:00", "2024-03-12T21:00")
    )


# --- Known answers: CME ---
# CME's contract specifications: "Sunday - Friday 5:00 p.m. - 4:00 p.m. CT with a 60-minute break each day
# beginning at 4:00 p.m. CT"; of most futures since 2015-09-21 (https://ninjatrader.com/Advisories/Advisory25).


@pytest.mark.parametrize("name", ["CMES", "COMEX"])
def test_cme_halts_from_four_to_five_in_chicago(name: str) -> None:
    bars = bars_of(name, "1h", "2024-12-03", "2024-12-03")
    assert sorted({f"{hour:02}:00" for hour in range(24)} - set(hours(bars))) == ["22:00"]
    bars = bars_of(name, "1h", "2024-07-02", "2024-07-02")
    assert sorted({f"{hour:02}:00" for hour in range(24)} - set(hours(bars))) == ["21:00"]


def test_cme_week_ends_with_the_halt_of_friday() -> None:
    friday = bars_of("CMES", "1h", "2024-12-06", "2024-12-06")
    assert hours(friday)[-1] == "21:00"
    assert hours(bar_calendar("CMES", "1D").closes(at("2024-12-06"))) == ["22:00"]


def test_cme_early_close_stays() -> None:
    # Thanksgiving: the market closes at noon in Chicago and opens again at five.
    assert hours(bars_of("CMES", "1h", "2024-11-28", "2024-11-28"))[-2:] == ["17:00", "23:00"]


def test_cme_halt_has_a_beginning() -> None:
    halt = at("2015-09-18T21:00", "2015-09-21T21:00")
    assert bar_calendar("CMES", "1h").contains(halt).tolist() == [True, False]


# --- Known answers: lunch breaks ---


def test_tokyo_hours_break_for_lunch_and_end_later_since_november_2024() -> None:
    # Tokyo Stock Exchange, "Final Decision for Extension of Trading Hours" (20 September 2023): 9:00-11:30
    # and 12:30-15:00; from 2024-11-05, 12:30-15:30. Nine hours ahead of UTC. 2024-11-04 is a holiday.
    bars = bars_of("XTKS", "1h", "2024-11-01", "2024-11-05")
    assert hours(bars) == ["00:00", "01:00", "02:00", "03:30", "04:30", "05:30"] * 2
    closes = bar_calendar("XTKS", "1h").closes(bars)
    assert hours(closes[:6]) == ["01:00", "02:00", "02:30", "04:30", "05:30", "06:00"]
    assert hours(closes[6:]) == ["01:00", "02:00", "02:30", "04:30", "05:30", "06:30"]


def test_hong_kong_half_day_ends_at_lunch() -> None:
    # HKEX trades 9:30-12:00 and 13:00-16:00, eight hours ahead of UTC; its 2021 calendar makes 11 February,
    # the eve of Lunar New Year, a half day.
    bars = bars_of("XHKG", "1h", "2021-02-10", "2021-02-11")
    assert hours(bars) == ["01:30", "02:30", "03:30", "05:00", "06:00", "07:00", "01:30", "02:30", "03:30"]
    assert hours(bar_calendar("XHKG", "1h").closes(bars))[-1] == "04:00"


# --- Known answers: ECB ---
# The ECB's press releases on TARGET closing days:
# 3 September 1998, in 1999: New Year's Day and Christmas Day; 15 July 1999: and 31 December 1999;
# 15 July 1999, in 2000: the six days of today; 25 May 2000, in 2001: those and 31 December;
# 14 December 2000, from 2002 on: New Year's Day, Good Friday, Easter Monday, 1 May, 25 and 26 December.


def test_ecb_closing_days_are_those_of_target() -> None:
    open_days = bars_of("ECB", "1D", "1999-01-01", "2002-12-31")
    closed = ["1999-01-01", "1999-12-31"]
    closed += ["2000-04-21", "2000-04-24", "2000-05-01", "2000-12-25", "2000-12-26"]
    closed += [
        "2001-01-01",
        "2001-04-13",
        "2001-04-16",
        "2001-05-01",
        "2001-12-25",
        "2001-12-26",
        "2001-12-31",
    ]
    closed += ["2002-01-01", "2002-03-29", "2002-04-01", "2002-05-01", "2002-12-25", "2002-12-26"]
    assert np.array_equal(open_days, weekdays("1999-01-01", "2002-12-31", but=closed))


def test_ecb_bars_are_exactly_the_dates_that_the_ecb_published() -> None:
    with zipfile.ZipFile(SAMPLES / "eurofxref-hist.zip") as archive:
        lines = archive.read("eurofxref-hist.csv").decode().splitlines()[1:]
    published = np.sort(at(*[line[:10] for line in lines]))
    assert np.array_equal(bars_of("ECB", "1D", published[0], published[-1]), published)


def test_ecb_bar_closes_when_the_rates_are_published() -> None:
    # "Around 16:00 CET", by Frankfurt's clock.
    closes = bar_calendar("ECB", "1D").closes(at("2024-01-15", "2024-07-15"))
    assert np.array_equal(closes, at("2024-01-15T15:00", "2024-07-15T14:00"))


def test_other_holiday_set_closes_at_the_next_midnight() -> None:
    # Columbus Day, 2024-10-14, is a holiday of the Federal Reserve and not of the exchanges.
    fed = bar_calendar("FED", "1D")
    assert not fed.contains(at("2024-10-14"))
    assert fed.closes(at("2024-10-15")) == at("2024-10-16")


# --- Known answers: 24/7 ---


def test_always_open_has_a_leap_day() -> None:
    assert np.array_equal(
        bars_of("24/7", "1D", "2024-02-28", "2024-03-01"), at("2024-02-28", "2024-02-29", "2024-03-01")
    )
    assert len(bars_of("24/7", "1h", "2024-02-29", "2024-02-29")) == 24


def test_always_open_day_closes_at_the_next_midnight() -> None:
    assert bar_calendar("24/7", "1D").closes(at("2024-02-29")) == at("2024-03-01")


# --- Properties of every kind of calendar ---


@every_kind
@steady
@given(cutoff=instants, count=st.integers(1, 200))
def test_future_is_the_next_bars(name: str, freq: str, cutoff: np.datetime64, count: int) -> None:
    calendar = bar_calendar(name, freq)
    future = calendar.future(cutoff, count)
    assert len(future) == count
    assert future[0] > cutoff
    assert (np.diff(future) > np.timedelta64(0)).all()
    assert calendar.contains(future).all()
    assert np.array_equal(calendar.bars(cutoff + np.timedelta64(1, "us"), future[-1]), future)


@every_kind
@steady
@given(start=instants, seconds=st.lists(st.integers(0, 20 * 86_400), min_size=1))
def test_position_counts_the_bars_between(
    name: str, freq: str, start: np.datetime64, seconds: list[int]
) -> None:
    calendar = bar_calendar(name, freq)
    end = start + np.timedelta64(20, "D")
    bars = calendar.bars(start, end)
    stamps = start + np.array(seconds).astype("timedelta64[s]")
    before = calendar.position(start)
    assert np.array_equal(calendar.position(bars), before + np.arange(len(bars)))
    assert np.array_equal(calendar.position(stamps), before + np.searchsorted(bars, stamps))
    assert np.array_equal(calendar.contains(stamps), np.isin(stamps, bars))


@every_kind
@steady
@given(start=instants)
def test_a_bar_closes_after_it_starts_and_before_the_next(name: str, freq: str, start: np.datetime64) -> None:
    calendar = bar_calendar(name, freq)
    bars = calendar.future(start, 50)
    closes = calendar.closes(bars)
    assert (closes > bars).all()
    assert (closes[:-1] <= bars[1:]).all()


@every_kind
@steady
@given(instant=instants)
def test_newest_closed_is_the_last_whose_close_has_come(name: str, freq: str, instant: np.datetime64) -> None:
    calendar = bar_calendar(name, freq)
    recent = calendar.bars(instant - np.timedelta64(12, "D"), instant)
    assert calendar.newest_closed(instant) == recent[calendar.closes(recent) <= instant][-1]


# --- Stamps that are not bars ---


def test_off_calendar_day_closes_at_the_next_midnight() -> None:
    closes = bar_calendar("XNYS", "1D").closes(at("2024-03-30", "2024-03-28T09:30"))
    assert np.array_equal(closes, at("2024-03-31", "2024-03-29"))


def test_off_calendar_hour_closes_an_hour_later() -> None:
    closes = bar_calendar("XNYS", "1h").closes(at("2024-03-30T10:00", "2024-03-28T14:00"))
    assert np.array_equal(closes, at("2024-03-30T11:00", "2024-03-28T15:00"))


@every_kind
def test_impossible_stamps_are_not_bars(name: str, freq: str) -> None:
    calendar = bar_calendar(name, freq)
    stamps = at("0001-01-01", "1969-12-30", "2050-01-03", "9999-12-31", "NaT")
    assert not calendar.contains(stamps).any()
    assert (calendar.closes(stamps[:-1]) > stamps[:-1]).all()
    assert (np.diff(calendar.position(stamps[:-1])) >= 0).all()


def test_coarser_stamps_are_understood() -> None:
    assert bar_calendar("ECB", "1D").contains(np.array(["2024-01-15"], "datetime64[D]")).all()


# --- What cannot be had ---


@pytest.mark.parametrize("name", ["XNYS", "NYSE", "24/7", "FX", "ECB", "TAR", "us_futures"])
def test_known_names_pass(name: str) -> None:
    check_calendar(name)


@pytest.mark.parametrize(
    ("name", "suggestion"), [("XNYZ", "'XNYS'"), ("nyse", "'NYSE'"), ("ecb", "'ECB'"), ("24-7", "'24/7'")]
)
def test_unknown_name_suggests_near_ones(name: str, suggestion: str) -> None:
    with pytest.raises(ValueError, match=rf"no calendar '{name}'; did you mean .*{suggestion}"):
        check_calendar(name)


def test_unknown_name_says_what_there_is() -> None:
    with pytest.raises(ValueError, match="use an exchange code such as XNYS"):
        check_calendar("quarterly")


def test_a_set_of_holidays_has_no_intraday_bars() -> None:
    with pytest.raises(PanelError, match=r"'ECB' has dates but no hours, so no bars of 1h; set freq"):
        bar_calendar("ECB", "1h")


def test_future_beyond_what_the_calendar_knows_is_refused() -> None:
    with pytest.raises(PanelError, match=r"'XNYS' covers .* to 2049-12-31, not the 72 bars after 2049-12-01"):
        bar_calendar("XNYS", "1D").future(np.datetime64("2049-12-01"), 72)


def test_past_before_what_the_calendar_knows_is_refused() -> None:
    # The library knows Tokyo's holidays from 1997 on.
    with pytest.raises(PanelError, match=r"'XTKS' covers 1997-01-06 to .*, not 1996-12-30"):
        bar_calendar("XTKS", "1D").bars(np.datetime64("1996-12-30"), np.datetime64("1997-02-01"))


def test_nothing_is_closed_before_the_first_bar() -> None:
    with pytest.raises(PanelError, match="not the bars before 1970-01-01T12:00"):
        bar_calendar("24/7", "1D").newest_closed(np.datetime64("1970-01-01T12:00"))


def test_calendar_that_its_library_cannot_build_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(exchange_calendars, "get_calendar", broken)
    with pytest.raises(PanelError, match="cannot build calendar 'XPHS' with pandas"):
        bar_calendar("XPHS", "1D")


def test_coverage_does_not_depend_on_the_day() -> None:
    calendar = bar_calendar("XNYS", "1D")
    assert (str(calendar.begin), str(calendar.end)) == ("1970-01-02", "2049-12-31")


def test_back_counts_bars_and_stops_at_the_first() -> None:
    calendar = bar_calendar("XNYS", "1D")
    monday = np.datetime64("2026-10-26", "us")
    assert calendar.back(monday, 1) == np.datetime64("2026-10-23")
    assert calendar.back(monday, 6) == np.datetime64("2026-10-16")
    assert calendar.back(monday, 10**6) == np.datetime64("1970-01-02")
