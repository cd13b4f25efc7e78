from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.calendar import bar_calendar
from forecasting.errors import AuditError
from forecasting.findings import Action
from forecasting.panel import Panel
from forecasting.prices.audit.series import SeriesAudit, audit_series
from forecasting.prices.bars import Bars
from forecasting.prices.sources import read_source

FIRST = np.datetime64("2020-01-01", "us")
DAY = np.timedelta64(1, "D")
LIMITS = {"min_bars": 6, "stale_bars": 3, "flat_bars": 5, "max_gap_bars": 2}
CONTEXT = 8
TODAY = 19  # the newest day of the tiny panels below, counted from the first

Audit = Callable[..., SeriesAudit]


def moving(days: range | list[int]) -> dict[int, float]:
    """A price for each of the days, none like the one before."""
    return {day: 10.0 + day % 3 for day in days}


def tiny_bars(series: dict[str, dict[int, float]]) -> Bars:
    rows = [(name, FIRST + day * DAY, y) for name, prices in series.items() for day, y in prices.items()]
    names, ds, y = zip(*rows, strict=True)
    columns = {"unique_id": list(names), "ds": pa.array(np.array(ds)), "close": list(y)}
    return Bars.from_table(pa.table(columns), "close")


@pytest.fixture(scope="session")
def tiny_panel(make_panel: Callable[..., Panel]) -> Panel:
    return make_panel({"uri": "nowhere.csv"}, audit=LIMITS, model={"context": CONTEXT})


@pytest.fixture
def audit(tiny_panel: Panel) -> Audit:
    def of(series: dict[str, dict[int, float]], as_of: int = TODAY) -> SeriesAudit:
        calendar = bar_calendar("24/7", "1D")
        return audit_series(tiny_bars(series), tiny_panel, calendar, FIRST + as_of * DAY)

    return of


def codes(audited: SeriesAudit) -> list[tuple[str, str, int]]:
    return [(finding.code, finding.unique_id, finding.rows) for finding in audited.findings]


WHOLE = {"W": moving(range(20)), "X": moving(range(20))}


def test_a_whole_series_is_forecast_without_a_word(audit: Audit) -> None:
    assert audit(WHOLE) == SeriesAudit(("W", "X"), (), {}, ())


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        (moving(range(15, 20)), ("P101", "A", 5)),
        (moving(range(16)), ("P103", "A", 4)),
        (moving(range(15)) | dict.fromkeys(range(15, 20), 7.0), ("P104", "A", 5)),
        (dict.fromkeys(range(20), 7.0), ("P104", "A", 20)),
    ],
    ids=["too short", "stale", "flat at the end", "always flat"],
)
def test_a_series_is_left_out(audit: Audit, prices: dict[int, float], said: tuple[str, str, int]) -> None:
    audited = audit(WHOLE | {"A": prices})
    assert codes(audited) == [said]
    assert audited.findings[0].action is Action.LEAVE_OUT
    assert audited.forecast == ("W", "X")
    assert audited.baseline == ()
    assert audited.left_out["A"].startswith(said[0])


@pytest.mark.parametrize(
    "prices",
    [
        moving(range(17)),
        moving(range(16)) | dict.fromkeys(range(16, 20), 7.0),
        moving(range(11, 20)),
    ],
    ids=["just not stale", "just not flat", "just a context"],
)
def test_a_series_just_inside_the_limits_is_forecast(audit: Audit, prices: dict[int, float]) -> None:
    assert audit(WHOLE | {"A": prices}) == SeriesAudit(("A", "W", "X"), (), {}, ())


def test_a_series_shorter_than_a_context_and_its_first_change_gets_the_baseline(audit: Audit) -> None:
    audited = audit(WHOLE | {"A": moving(range(12, 20))})
    assert (audited.baseline, audited.left_out) == (("A",), {})
    assert codes(audited) == [("P102", "A", 8)]
    assert "8 bars since 2020-01-13" in audited.findings[0].detail


def test_a_context_starts_again_after_a_long_gap(audit: Audit) -> None:
    audited = audit(WHOLE | {"A": moving([*range(9), *range(12, 20)])})
    assert audited.baseline == ("A",)
    assert codes(audited) == [("P102", "A", 8), ("P105", "A", 3)]


def test_a_context_may_hold_a_short_gap(audit: Audit) -> None:
    audited = audit(WHOLE | {"A": moving([*range(4), *range(6, 10), *range(11, 20)])})
    assert "A" in audited.forecast
    assert codes(audited) == [("P105", "A", 3)]
    assert audited.findings[0].detail == (
        "3 bars missing, 2 of them between 2020-01-04 and 2020-01-07; days on which the market was closed go "
        "into [bars].extra_holidays"
    )


def test_gaps_are_counted_in_bars_of_the_calendar(make_panel: Callable[..., Panel]) -> None:
    weekdays = moving([5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 19])  # Monday the 6th to Monday the 20th
    panel = make_panel({"uri": "nowhere.csv"}, audit=LIMITS, model={"context": CONTEXT})
    bars = tiny_bars({"A": weekdays})
    assert audit_series(bars, panel, bar_calendar("ECB", "1D"), FIRST + TODAY * DAY).findings == ()


def test_an_as_of_off_the_calendar_is_as_the_bar_before_it(make_panel: Callable[..., Panel]) -> None:
    panel = make_panel(
        {"uri": "nowhere.csv"}, audit={**LIMITS, "stale_bars": 1, "min_bars": 2}, model={"context": CONTEXT}
    )
    thursday, sunday = 15, 18
    audited = audit_series(
        tiny_bars({"A": moving([13, 14, thursday])}), panel, bar_calendar("ECB", "1D"), FIRST + sunday * DAY
    )
    assert audited.left_out == {}


def test_a_series_that_begins_later_is_not_there(audit: Audit) -> None:
    assert audit(WHOLE | {"A": moving(range(15, 20))}, as_of=14).forecast == ("W", "X")


def test_the_panel_stops_when_most_live_series_would_be_left_out(audit: Audit) -> None:
    flat = moving(range(10)) | dict.fromkeys(range(10, 20), 7.0)
    with pytest.raises(AuditError, match=r"P201 .*3 of 5 live series .*\(3 P104 flat: A, B, C\)") as raised:
        audit(WHOLE | {"A": flat, "B": flat, "C": flat})
    assert "\n" not in str(raised.value)
    assert [(one.code, one.unique_id) for one in raised.value.findings] == [
        ("P201", ""),
        ("P104", "A"),
        ("P104", "B"),
        ("P104", "C"),
    ]


def test_series_that_have_never_moved_are_left_out_and_stop_no_panel(audit: Audit) -> None:
    pegs = {name: dict.fromkeys(range(14, 20), 1.0) for name in "ABCDE"}
    audited = audit(WHOLE | pegs)
    assert (audited.forecast, sorted(audited.left_out)) == (("W", "X"), list("ABCDE"))
    assert "has not moved yet" in audited.left_out["A"]


def test_where_nothing_has_moved_there_is_nothing_to_forecast(audit: Audit) -> None:
    with pytest.raises(AuditError, match="P201"):
        audit({"A": dict.fromkeys(range(20), 1.0)})


def test_half_of_them_is_not_most(audit: Audit) -> None:
    flat = moving(range(10)) | dict.fromkeys(range(10, 20), 7.0)
    assert audit(WHOLE | {"A": flat, "B": flat}).forecast == ("W", "X")


def test_series_that_died_long_ago_do_not_stop_the_panel(audit: Audit) -> None:
    dead = {name: moving(range(13)) for name in "ABCDE"}
    assert audit(WHOLE | dead).forecast == ("W", "X")


def test_series_that_fell_silent_just_now_stop_the_panel(audit: Audit) -> None:
    silent = {name: moving(range(14)) for name in "ABCDE"}
    with pytest.raises(AuditError, match=r"5 of 7 live series .*5 P103 stale: A, B, C, \.\.\."):
        audit(WHOLE | silent)


def test_a_panel_of_the_dead_stops(audit: Audit) -> None:
    with pytest.raises(AuditError, match=r"0 of 0 live series .*2 P103 stale: W, X"):
        audit(WHOLE, as_of=90)


def test_a_panel_without_any_bar_by_then_stops(audit: Audit) -> None:
    with pytest.raises(
        AuditError, match="panel tiny has no prices by 2019-12-22; ingest older prices, or give a later as_of"
    ):
        audit(WHOLE, as_of=-10)


PRICES = st.dictionaries(st.integers(0, 40), st.sampled_from([1.0, 2.0]), min_size=1)


@given(series=st.dictionaries(st.sampled_from("ABC"), PRICES), data=st.data())
def test_prices_after_as_of_change_nothing(
    series: dict[str, dict[int, float]], data: st.DataObject, tiny_panel: Panel
) -> None:
    series = series | {"W": moving(range(25))}
    changed = {name: data.draw(PRICES) for name in "ABCD"}
    blended = {
        name: {day: y for day, y in series.get(name, {}).items() if day <= TODAY}
        | {day: y for day, y in changed.get(name, {}).items() if day > TODAY}
        for name in "ABCDW"
    }

    def outcome(prices: dict[str, dict[int, float]]) -> Any:
        try:
            return audit_series(
                tiny_bars(prices), tiny_panel, bar_calendar("24/7", "1D"), FIRST + TODAY * DAY
            )
        except AuditError as error:
            return str(error)

    assert outcome(blended) == outcome(series)


@pytest.fixture(scope="module")
def ecb_bars(ecb_panel: Panel) -> Bars:
    return Bars.from_table(pa.concat_tables(read_source(ecb_panel)), "close")


@pytest.mark.parametrize(
    ("as_of", "forecast", "left_out"),
    [
        ("2026-10-30", 29, {"P103": "BGN CYP EEK HRK LTL LVL MTL ROL RUB SIT SKK TRL"}),
        ("2020-06-30", 31, {"P103": "CYP EEK LTL LVL MTL ROL SIT SKK TRL", "P104": "BGN"}),
        ("2013-11-30", 31, {"P103": "CYP EEK ISK MTL ROL SIT SKK TRL", "P104": "BGN LTL"}),
        ("2005-01-31", 26, {"P103": "TRL", "P104": "EEK", "P101": "TRY"}),
    ],
)
def test_verdicts_on_real_currencies(
    ecb_panel: Panel, ecb_bars: Bars, as_of: str, forecast: int, left_out: dict[str, str]
) -> None:
    calendar = bar_calendar("ECB", "1D")
    audited = audit_series(ecb_bars, ecb_panel, calendar, np.datetime64(as_of, "us"))
    expected = {f"EUR{name}": code for code, names in left_out.items() for name in names.split()}
    assert {name: why[:4] for name, why in audited.left_out.items()} == expected
    assert (len(audited.forecast), audited.baseline) == (forecast, ())


def test_the_nine_year_hole_of_the_icelandic_krona(ecb_panel: Panel, ecb_bars: Bars) -> None:
    calendar = bar_calendar("ECB", "1D")
    audited = audit_series(ecb_bars, ecb_panel, calendar, np.datetime64("2018-03-15", "us"))
    # The pretrained network pads the context; before the hole there are ten years of bars.
    assert "EURISK" in audited.forecast
    short = next(finding for finding in audited.findings if finding.code == "P102")
    assert (short.unique_id, short.action) == ("EURISK", Action.NOTE)
    assert "the network's context needs 121, and is padded" in short.detail
    gap = next(finding for finding in audited.findings if finding.code == "P105")
    assert "between 2008-12-09 and 2018-02-01" in gap.detail


def test_a_koruna_held_flat_for_weeks_is_still_forecast(ecb_panel: Panel, ecb_bars: Bars) -> None:
    as_of = np.datetime64("2017-03-29", "us")
    czk = ecb_bars.select(["EURCZK"]).until(as_of)
    assert len(set(czk.y[-39:])) == 1
    audited = audit_series(ecb_bars, ecb_panel, bar_calendar("ECB", "1D"), as_of)
    assert "EURCZK" in audited.forecast


@pytest.mark.parametrize("as_of", ["2005-01-31", "2015-01-20", "2020-06-30"])
def test_nonsense_after_as_of_changes_no_verdict_on_real_currencies(
    ecb_panel: Panel, ecb_bars: Bars, as_of: str
) -> None:
    instant = np.datetime64(as_of, "us")
    later = ecb_bars.ds > instant
    nonsense = np.random.default_rng(0).uniform(1e-6, 1e6, len(ecb_bars))
    changed = replace(ecb_bars, y=np.where(later, nonsense, ecb_bars.y))
    assert later.sum() > 40_000
    calendar = bar_calendar("ECB", "1D")
    assert audit_series(changed, ecb_panel, calendar, instant) == audit_series(
        ecb_bars, ecb_panel, calendar, instant
    )


@pytest.mark.parametrize("currency", ["EURRUB", "EURHRK"])
def test_a_currency_that_died_in_2022_is_alive_in_2020(
    ecb_panel: Panel, ecb_bars: Bars, currency: str
) -> None:
    calendar = bar_calendar("ECB", "1D")
    then, now = (
        audit_series(ecb_bars, ecb_panel, calendar, np.datetime64(day, "us"))
        for day in ("2020-06-30", "2026-10-30")
    )
    assert currency in then.forecast
    assert now.left_out[currency].startswith("P103 stale")
