"""Write the report's files to a forecast's folder: what the page shows first, and the page itself last."""

from collections.abc import Sequence

from forecasting.publishing.address import REPORT, REPORT_DATA, ForecastAddress
from forecasting.reports.assets import put_assets
from forecasting.reports.chart_data import ChartData, ChartGrid
from forecasting.reports.findings_tables import FINDINGS, findings_file
from forecasting.reports.report import render_report, report_pictures
from forecasting.reports.report_contents import ReportData
from forecasting.reports.report_warnings import WARNINGS, warnings_file
from forecasting.reports.series_index import INDEX, index_script
from forecasting.storage import Storage


def put_report(
    storage: Storage, address: ForecastAddress, report: ReportData, grid: ChartGrid, past: Sequence[str]
) -> None:
    """Write the findings, the warnings, the table's data, and the page, one put each.

    The charts' values must be there: see `put_charts`.
    """
    storage.put(address.path(FINDINGS), findings_file(report.findings))
    storage.put(address.path(WARNINGS), warnings_file(report.warnings))
    for name, data in report_pictures(report).items():
        storage.put(address.path(f"{REPORT_DATA}/{name}"), data)
    storage.put(address.path(f"{REPORT_DATA}/{INDEX}"), index_script(report, grid, past))
    put_assets(storage)
    page = address.path(REPORT)
    storage.put(page, render_report(report, page).encode())


def put_charts(storage: Storage, address: ForecastAddress, charts: ChartData, first: int = 0) -> None:
    """Write the values of the charts of some series; `first` is the number of their first script."""
    for name, data in charts.scripts(first):
        storage.put(address.path(f"{REPORT_DATA}/{name}"), data)
