import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.calendar import bar_calendar
from forecasting.findings import Action
from forecasting.panel import Panel
from forecasting.prices.audit.rows import RowAudit, audit_rows
from forecasting.prices.schema import GOOD, OFFERED, REFUSED
from forecasting.prices.sources import read_source
from forecasting.storage import file_name

NOW = np.datetime64("2020-03-10T12:00", "us")
NOWHERE = {"uri": "nowhere.csv"}

Audit = Callable[..., RowAudit]


def offers(*rows: dict[str, Any]) -> pa.Table:
    """Offered rows. Each row overrides the default of series A on 2020-03-02 at a close of 10."""
    filled = [{"unique_id": "A", "ds": "2020-03-02", "close": 10.0} | row for row in rows]
    columns = {name: [row.get(name) for row in filled] for name in OFFERED.names}
    columns["ds"] = pa.array(np.array(columns["ds"], "datetime64[us]"), pa.timestamp("us", "UTC"))
    return pa.table(columns, schema=OFFERED)


@pytest.fixture
def audit(make_panel: Callable[..., Panel]) -> Audit:
    def of(*rows: dict[str, Any], calendar: str = "24/7", freq: str = "1D", **forecast: str) -> RowAudit:
        panel = make_panel(NOWHERE, bars={"calendar": calendar, "freq": freq}, forecast=forecast)
        return audit_rows(offers(*rows), panel, bar_calendar(calendar, freq), NOW)

    return of


def codes(audited: RowAudit) -> list[tuple[str, str, int]]:
    return [(finding.code, finding.unique_id, finding.rows) for finding in audited.findings]


def test_good_rows_pass_sorted_and_without_a_word(audit: Audit) -> None:
    audited = audit(
        {"unique_id": "B", "ds": "2020-03-02"}, {"ds": "2020-03-02", "open": 9.5}, {"ds": "2020-03-03"}
    )
    assert audited.good.schema == GOOD.set(0, OFFERED.field("unique_id"))
    assert audited.good["unique_id"].to_pylist() == ["A", "A", "B"]
    assert audited.good["open"].to_pylist() == [9.5, None, None]
    assert (audited.refused.schema, audited.refused.num_rows) == (REFUSED, 0)
    assert (audited.offered, audited.repaired, audited.pending, audited.findings) == (3, 0, 0, ())


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"raw": 'close="1,5"', "close": None}, "P001"),
        ({"close": math.nan}, "P005"),
        ({"close": math.inf}, "P005"),
        ({"close": 1e31}, "P005"),
        ({"close": 0.0}, "P006"),
        ({"close": -36.98}, "P006"),
        ({"close": None, "volume": 0.0}, "P017"),
        ({"ds": "2020-03-02T07:00:00"}, "P009"),
        ({"ds": "1821-03-02"}, "P009"),
        ({"ds": "2020-03-11"}, "P010"),
        ({"ds": "2062-03-02"}, "P010"),
    ],
)
def test_a_bad_row_is_refused_for_the_first_rule_that_it_breaks(
    audit: Audit, row: dict[str, Any], code: str
) -> None:
    audited = audit(row, {"unique_id": "B"})
    assert audited.refused["code"].to_pylist() == [code]
    assert codes(audited) == [(code, "A", 1)]
    assert audited.findings[0].action is Action.REFUSE
    assert audited.good["unique_id"].to_pylist() == ["B"]


@pytest.mark.parametrize(
    ("row", "codes_met", "kept"),
    [
        ({"volume": math.inf}, ["P005"], {}),
        ({"high": math.inf, "low": math.inf}, ["P005"], {}),
        ({"high": 1e300}, ["P005"], {}),
        ({"open": 0.0, "high": 11.0, "low": 0.0}, ["P006"], {"high": 11.0}),
        ({"high": 9.0, "low": 11.0, "open": 10.0}, ["P007"], {"open": 10.0}),
        ({"high": 9.9, "low": 9.0, "open": 9.5, "volume": 7.0}, ["P008"], {"volume": 7.0}),
        ({"low": 10.1}, ["P008"], {}),
        ({"open": 8.0, "high": 11.0, "low": 9.0}, ["P008"], {"high": 11.0, "low": 9.0}),
        ({"volume": -1.0}, ["P011"], {}),
        ({"open": 0.0, "volume": -1.0}, ["P006", "P011"], {}),
        ({"remark": 'volume="n.a." in x.csv, line 3'}, ["P018"], {}),
    ],
)
def test_a_bad_value_beside_the_target_costs_no_bar(
    audit: Audit, row: dict[str, Any], codes_met: list[str], kept: dict[str, float]
) -> None:
    audited = audit(row, {"unique_id": "B"})
    assert audited.refused.num_rows == 0
    assert codes(audited) == [(code, "A", 1) for code in codes_met]
    assert all(finding.action is Action.REPAIR for finding in audited.findings)
    values = {name: value for name, value in audited.good.to_pylist()[0].items() if value is not None}
    assert {name: values[name] for name in values if name not in ("unique_id", "ds")} == {
        "close": 10.0,
        **kept,
    }


def test_the_target_is_kept_and_judged_whichever_it_is(audit: Audit) -> None:
    row = {"high": 9.0, "low": 11.0, "volume": -1.0}
    assert codes(audit(row, target="high")) == [("P007", "A", 1), ("P011", "A", 1)]
    assert codes(audit(row, target="volume")) == [("P007", "A", 1), ("P006", "A", 1)][::-1]
    assert codes(audit({"volume": -1.0}, target="volume", transform="diff")) == [("P011", "A", 1)]


def test_a_refused_row_keeps_its_values(audit: Audit) -> None:
    row = audit({"close": -1.0, "volume": 3.0}).refused.to_pylist()[0]
    assert (row["unique_id"], row["close"], row["volume"], row["open"]) == ("A", -1.0, 3.0, None)


def test_a_negative_price_is_good_where_changes_are_differences(audit: Audit) -> None:
    assert audit({"close": -36.98}, transform="diff").findings == ()


def test_the_finding_on_a_negative_price_says_what_to_do(audit: Audit) -> None:
    (finding,) = audit({"close": 5.0}, {"close": -36.98, "ds": "2020-03-03"}).findings
    assert 'set transform = "diff"' in finding.detail
    assert "2020-03-03 close -36.98" in finding.detail


def test_a_volume_must_be_positive_only_where_it_is_forecast(audit: Audit) -> None:
    assert audit({"volume": 0.0}).findings == ()
    assert codes(audit({"volume": 0.0}, target="volume")) == [("P006", "A", 1)]


def test_a_price_may_leave_its_range_by_the_last_bit_of_a_float(audit: Audit) -> None:
    assert audit({"close": 0.3, "high": 0.1 * 3, "low": math.nextafter(0.3, 1)}).findings == ()


def test_the_bar_that_is_forming_waits_without_a_word(audit: Audit) -> None:
    audited = audit({"ds": "2020-03-10"}, {"ds": "2020-03-10", "close": math.nan}, {"ds": "2020-03-09"})
    assert (audited.pending, audited.good.num_rows, audited.findings) == (2, 1, ())


def test_the_intraday_bar_that_is_forming_waits_and_the_one_after_it_is_refused(audit: Audit) -> None:
    times = ("2020-03-10T11:00:00", "2020-03-10T12:00:00", "2020-03-10T13:00:00")
    audited = audit(*({"ds": time} for time in times), freq="1h")
    assert (audited.good.num_rows, audited.pending) == (1, 1)
    assert "the first: 2020-03-10T1300Z close 10" in audited.findings[0].detail


def test_a_bar_on_a_day_off_is_refused(audit: Audit) -> None:
    saturday, good_friday = {"ds": "2020-03-07"}, {"ds": "2019-04-19"}
    assert codes(audit(saturday, good_friday, {}, calendar="ECB")) == [("P009", "A", 2)]


def test_a_bar_before_its_calendar_begins_is_told_when_that_is(audit: Audit) -> None:
    (finding,) = audit({"ds": "1962-01-02"}, calendar="XNYS").findings
    assert finding.detail.startswith("calendar XNYS, which covers 1970-01-02 to 2049-12-31, has no such bar;")


def test_equal_duplicates_are_one_bar(audit: Audit) -> None:
    audited = audit({}, {}, {}, {"unique_id": "B"})
    assert (audited.good.num_rows, audited.repaired, audited.refused.num_rows) == (2, 2, 0)
    assert codes(audited) == [("P003", "A", 2)]
    assert audited.findings[0].action is Action.REPAIR


def test_no_row_of_a_bar_in_conflict_is_taken(audit: Audit) -> None:
    audited = audit({}, {"close": 11.0}, {}, {"ds": "2020-03-03"})
    assert audited.refused["code"].to_pylist() == ["P004"] * 3
    assert sorted(audited.refused["close"].to_pylist()) == [10.0, 10.0, 11.0]
    assert (audited.good.num_rows, audited.repaired) == (1, 0)
    assert codes(audited) == [("P004", "A", 3)]


def test_a_value_and_none_are_in_conflict(audit: Audit) -> None:
    assert codes(audit({}, {"volume": 1.0})) == [("P004", "A", 2)]


def test_a_refused_row_is_in_conflict_with_nothing(audit: Audit) -> None:
    audited = audit({}, {"close": math.nan})
    assert (audited.good["close"].to_pylist(), codes(audited)) == ([10.0], [("P005", "A", 1)])


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ((2, 3, 4), []),
        ((4, 3, 2), []),
        ((4, 2, 3, 5), [("P002", "A", 1)]),
        ((2, 5, 4, 3), [("P002", "A", 1)]),
    ],
)
def test_only_rows_in_neither_order_are_called_unsorted(
    audit: Audit, days: tuple[int, ...], said: list[tuple[str, str, int]]
) -> None:
    audited = audit(*({"ds": f"2020-03-0{day}"} for day in days), {"unique_id": "B"})
    assert codes(audited) == said
    assert [ds.day for ds in audited.good["ds"].to_pylist()] == [*sorted(days), 2]


def test_a_row_without_an_id_has_a_finding_of_no_series(audit: Audit) -> None:
    audited = audit({"unique_id": None, "ds": None, "close": None, "raw": "A,2020-0"})
    assert codes(audited) == [("P001", "", 1)]
    assert audited.findings[0].detail.endswith("the first: A,2020-0")


@pytest.mark.parametrize(
    ("zone", "raw", "code"),
    [
        ("America/New_York", 'ds="2019-11-03 01:30:00"', "P013"),
        ("America/New_York", 'ds="2019-11-03 half past one"', "P001"),
        ("America/New_York", 'ds="2019-11-03 01:30:00", close="x"', "P001"),
        ("", 'ds="2019-11-03 01:30:00"', "P001"),
    ],
)
def test_a_time_that_the_clocks_show_twice_is_refused_as_such(
    make_panel: Callable[..., Panel], zone: str, raw: str, code: str
) -> None:
    panel = make_panel({"uri": "nowhere.csv", "time_zone": zone}, bars={"freq": "1h"})
    audited = audit_rows(offers({"ds": None, "raw": raw}), panel, panel.calendar, NOW)
    assert codes(audited) == [(code, "A", 1)]


def test_an_id_that_is_no_file_name_is_taken_and_said_once_for_the_panel(audit: Audit) -> None:
    ids = ["BRK/B", "../x", "^GSPC", "a:b", "EUR=X", "BRK.B", "AT&T"]
    audited = audit(*({"unique_id": name} for name in ids))
    assert audited.good["unique_id"].to_pylist() == sorted(ids)
    assert codes(audited) == [("P012", "", 5)]
    assert "'../x', 'AT&T', 'BRK/B', ..." in audited.findings[0].detail


@given(unique_id=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_an_id_is_unsafe_just_where_its_files_are_named_otherwise(
    unique_id: str, make_panel: Callable[..., Panel]
) -> None:
    audited = audit_rows(
        offers({"unique_id": unique_id}), make_panel(NOWHERE), bar_calendar("24/7", "1D"), NOW
    )
    assert bool(audited.findings) is (file_name(unique_id) != unique_id)


def test_nothing_offered(audit: Audit) -> None:
    audited = audit()
    assert (audited.offered, audited.good.num_rows, audited.findings) == (0, 0, ())


ROW = st.fixed_dictionaries(
    {
        "unique_id": st.sampled_from(["A", "B"]),
        "ds": st.sampled_from(["2020-03-02", "2020-03-03", "2020-03-10", "2020-03-20"]),
        "close": st.sampled_from([1.0, 2.0, 0.0, math.nan]),
        "high": st.sampled_from([None, 1.5]),
        "raw": st.sampled_from([None, None, None, "?"]),
    }
)


@given(rows=st.lists(ROW, max_size=20))
def test_every_row_is_good_or_refused_or_repaired_or_pending(
    rows: list[dict[str, Any]], make_panel: Callable[..., Panel]
) -> None:
    audited = audit_rows(offers(*rows), make_panel(NOWHERE), bar_calendar("24/7", "1D"), NOW)
    parts = (audited.good.num_rows, audited.refused.num_rows, audited.repaired, audited.pending)
    assert sum(parts) == audited.offered == len(rows)
    bars = audited.good.select(["unique_id", "ds"]).to_pandas()
    assert not bars.duplicated().any()


def test_nothing_is_wrong_with_the_rows_of_the_ecb(ecb_panel: Panel) -> None:
    offered = pa.concat_tables(read_source(ecb_panel))
    audited = audit_rows(offered, ecb_panel, bar_calendar("ECB", "1D"), np.datetime64("2026-10-31", "us"))
    assert audited.findings == ()
    assert audited.good.num_rows == pd.read_csv(ecb_panel.source.uri).iloc[:, 1:].count().sum()


@pytest.mark.parametrize(
    ("zoned", "stated", "code", "said"),
    [
        ([True, True], "", None, ""),
        ([None, None], "", None, ""),
        ([False, False], "Europe/Berlin", None, ""),
        ([False, False], "", "P014", "2 of 2 times name no zone and were read as UTC; the first: 2020"),
        ([True, False], "Europe/Berlin", "P015", "1 of 2 times name no zone and were read as Europe/B"),
    ],
)
def test_times_that_may_mean_another_instant(
    make_panel: Callable[..., Panel], zoned: list[bool | None], stated: str, code: str | None, said: str
) -> None:
    panel = make_panel({"uri": "nowhere.csv", "time_zone": stated}, bars={"freq": "1h"})
    rows = offers(*({"ds": f"2020-03-02T1{at}", "zoned": named} for at, named in enumerate(zoned)))
    audited = audit_rows(rows, panel, panel.calendar, NOW)
    assert codes(audited) == ([(code, "", zoned.count(False))] if code else [])
    assert audited.good.num_rows == 2
    assert not code or said in audited.findings[0].detail
