import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from forecasting.reports.outlook import Outlook
from forecasting.reports.report_contents import ReportData
from forecasting.reports.series_index import index_script, series_columns
from tests.big_panel import AS_OF, big_charts, big_report


def index_of(report: ReportData) -> dict[str, Any]:
    charts = big_charts(len(report.series))
    text = index_script(report, charts.grid, [one.as_of for one in charts.past]).decode()
    record: dict[str, Any] = json.loads(text.removeprefix("nightcast.setIndex(")[:-3])
    return record


def changed(report: ReportData, **changes: Any) -> ReportData:
    """The report with its first series changed."""
    first, *others = report.series
    return replace(report, series=[replace(first, **changes), *others])


def test_every_column_has_a_value_for_every_series() -> None:
    index = index_of(big_report(3))
    assert {len(values) for values in index["values"].values()} == {3}
    keys = {column["key"] for column in index["columns"]} - {"change", "range"}
    assert keys <= index["values"].keys()


def test_times_are_seconds_and_the_history_ends_at_the_as_of() -> None:
    index = index_of(big_report(1))
    last = index["times"][index["history"] - 1]
    assert datetime.fromtimestamp(last, UTC).date().isoformat() == AS_OF
    assert len(index["times"]) == index["history"] + index["horizon"]


def test_numbers_have_six_digits_and_a_missing_one_is_null() -> None:
    report = changed(big_report(2), y_cutoff=17234.4567, median=float("nan"), outlook=Outlook())
    values = index_of(report)["values"]
    assert (values["price"][0], values["median"][0], values["percentile"][0]) == (17234.5, None, None)


def test_only_pictures_that_exist_are_named() -> None:
    report = changed(big_report(2), chart_file="a%2Fb.png")
    assert index_of(report)["pictures"] == {"0": "a%2Fb.png"}


def test_the_model_is_a_column_where_it_differs() -> None:
    report = big_report(2)
    same = [column.key for column in series_columns(report.series)]
    differ = [column.key for column in series_columns(changed(report, model="ewma_walk").series)]
    assert differ == [*same, "model"]


def test_a_phone_shows_median_and_range() -> None:
    always = [column.key for column in series_columns(big_report(1).series) if column.always]
    assert always == ["id", "median", "range", "percentile"]


def test_hostile_names_do_not_end_the_script() -> None:
    name = '</script>"\\\u2028'
    report = changed(big_report(1), unique_id=name)
    assert index_of(report)["values"]["id"] == [name]
    assert np.isfinite(index_of(report)["values"]["price"]).all()


def test_a_report_without_series_has_columns() -> None:
    assert series_columns([])[0].key == "id"
