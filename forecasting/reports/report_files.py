"""Write the report's files to a forecast's folder: what the page shows first, and the page itself last."""

from collections.abc import Iterator

from forecasting.publishing.address import REPORT, REPORT_DATA, ForecastAddress
from forecasting.reports.assets import put_assets
from forecasting.reports.chart_data import ChartData, shard_name
from forecasting.reports.findings_tables import FINDINGS, findings_file
from forecasting.reports.report import render_report, report_pictures
from forecasting.reports.report_contents import ReportData
from forecasting.reports.report_warnings import WARNINGS, warnings_file
from forecasting.reports.series_index import INDEX, index_script
from forecasting.storage import Storage


def put_report(storage: Storage, address: ForecastAddress, report: ReportData, charts: ChartData) -> None:
    """Write the findings, the warnings, the data of table and charts, and the page, one put each."""
    storage.put(address.path(FINDINGS), findings_file(report.findings))
    storage.put(address.path(WARNINGS), warnings_file(report.warnings))
    for name, data in _data_files(report, charts):
        storage.put(address.path(f"{REPORT_DATA}/{name}"), data)
    put_assets(storage)
    page = address.path(REPORT)
    storage.put(page, render_report(report, page).encode())


def _data_files(report: ReportData, charts: ChartData) -> Iterator[tuple[str, bytes]]:
    """Yield the files in the folder of the page's data, by name; one at a time is in memory."""
    yield from report_pictures(report).items()
    for number, shard in enumerate(charts.shards()):
        yield shard_name(number), shard
    yield INDEX, index_script(report, charts)
