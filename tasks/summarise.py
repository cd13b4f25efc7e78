"""Summarise: show the run's results in the Prefect UI."""

import base64

from prefect import task

from forecasting.night import NightResult
from forecasting.panel import Panel
from forecasting.publishing.address import INDEX, REPORT
from forecasting.publishing.public_links import public_link
from forecasting.reports.markdown import escape_markdown
from forecasting.reports.summary import charts_worth_seeing, series_rows, summary_lines
from forecasting.storage import Storage
from tasks.artifacts import artifact_key, show_link, show_markdown, show_table
from tasks.findings import show_findings
from tasks.options import STEP


@task(name="summarise", **STEP)
def summarise(panel: Panel, store: str, result: NightResult) -> None:
    """Create artifacts: the summary with the charts worth seeing, the series table, the findings, links."""
    storage, manifest = Storage(store), result.manifest
    lines = summary_lines(storage, manifest, stands=not result.is_new)
    charts = charts_worth_seeing(storage, manifest)
    show_markdown(
        artifact_key("forecast", panel.name),
        [*lines, *map(_picture, charts)],
        f"Forecast of {panel.name} as of {manifest.as_of}",
    )
    show_table(
        artifact_key("series", panel.name),
        series_rows(storage, manifest),
        f"The series of {panel.name}, {panel.forecast.horizon} bars after {manifest.as_of}",
    )
    show_findings(panel, manifest.findings, f"as of {manifest.as_of}")
    _link("report", panel, manifest.address.path(REPORT), f"Report of {panel.name} as of {manifest.as_of}")
    _link("landing-page", panel, INDEX, "All panels and dates")


def _link(kind: str, panel: Panel, path: str, text: str) -> None:
    """Create a link artifact where the store is served. Browsers refuse links to files from a web page."""
    link = public_link(path)
    if link is not None:
        show_link(artifact_key(kind, panel.name), link, text)


def _picture(chart: tuple[str, bytes]) -> str:
    """The UI shows a picture embedded in markdown; an image artifact would print its whole address."""
    unique_id, png = chart
    name = escape_markdown(unique_id)
    return f"### {name}\n\n![{name}](data:image/png;base64,{base64.b64encode(png).decode()})"
