"""Summarise: what a person sees of the run in the Prefect UI."""

import base64
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from forecasting.panel import Panel
from forecasting.publishing.publish import ForecastAddress
from forecasting.reports.summary import charts_worth_seeing, series_rows, summary_lines
from forecasting.storage import Storage
from tasks.findings import show_findings
from tasks.policy import STEP
from tasks.progress import artifact_key


@task(name="summarise", **STEP)
def summarise(panel: Panel, store: str, manifest: dict[str, Any]) -> None:
    """Show the run's summary, the charts worth seeing, and tables of the series and findings as artifacts."""
    storage = Storage(store)
    address = ForecastAddress(manifest["panel"], manifest["as_of"], manifest["forecast_id"])
    charts = charts_worth_seeing(storage, address)
    create_markdown_artifact(
        key=artifact_key("forecast", panel.name),
        markdown="\n\n".join([*summary_lines(storage, manifest), *map(_picture, charts)]),
        description=f"What was forecast for {panel.name} as of {manifest['as_of']}",
    )
    create_table_artifact(
        key=artifact_key("series", panel.name),
        table=series_rows(storage, address, manifest),
        description=f"The series of {panel.name}, {panel.forecast.horizon} bars after {manifest['as_of']}",
    )
    show_findings(panel, manifest["findings"], f"as of {manifest['as_of']}")


def _picture(chart: tuple[str, bytes]) -> str:
    """The UI shows an embedded picture in markdown; an image artifact would print its whole address."""
    unique_id, png = chart
    return f"### {unique_id}\n\n![{unique_id}](data:image/png;base64,{base64.b64encode(png).decode()})"
