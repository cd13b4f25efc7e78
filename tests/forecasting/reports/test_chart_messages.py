from dataclasses import replace

import pytest

from forecasting.reports.chart_messages import from_message, to_message
from forecasting.reports.charts import SeriesChart, draw_series
from tests.series_charts import series_chart

CHARTS = {
    "with a comparison": series_chart(),
    "without": replace(series_chart(), unique_id="\N{ROCKET}", comparison=None, no_comparison="None yet."),
}


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_a_chart_is_drawn_the_same_after_its_way_to_another_process(chart: SeriesChart) -> None:
    arrived = from_message(to_message(chart))
    assert (arrived.unique_id, arrived.no_comparison) == (chart.unique_id, chart.no_comparison)
    assert draw_series(arrived) == draw_series(chart)
