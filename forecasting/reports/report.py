"""The report: one HTML page on a published forecast, for the people who use it.

This module turns plain values into text; the template only lays the text out. The table of series and the
charts are drawn in the browser, from scripts with data beside the page (`series_index`, `chart_data`).
"""

from forecasting.formats import format_percent
from forecasting.publishing.address import INDEX, REPORT_DATA
from forecasting.reports.moods import SCOPE, WIDTH_RULE, mood_line, mood_tiles
from forecasting.reports.page import Column, Picture, render_page
from forecasting.reports.report_contents import VERSION_LETTERS, Contender, ReportData
from forecasting.reports.report_tables import (
    contenders_table,
    facts_table,
    findings_table,
    left_out_table,
)
from forecasting.reports.score_summary import score_pictures, scores_table
from forecasting.reports.series_index import series_columns

LOSS_CURVE = "loss.png"

# What the tiles and the summary take for granted.
_GLOSSARY = (
    Column("80% interval", note="The price ends inside with a probability of 80%, if the forecast is right."),
    Column("Median", note="The price is as likely to end above it as below."),
    Column("Calm, nervous", note=WIDTH_RULE),
    Column(
        "Random walk",
        note="The forecast that nothing but chance moves prices: the last price, with the "
        "spread of past changes. Hard to beat, so everything is measured against it.",
    ),
    Column("Skill", note="How much lower the loss is than the random walk's. Above zero is better."),
    Column("Holdout", note="The last bars, on which no model was trained. Models are compared there."),
    Column(
        "Baseline", note="A random walk that is forecast beside the model, and stands in where it is better."
    ),
)
_FREQUENCIES = {"1M": "monthly", "1W": "weekly", "1D": "daily", "1h": "hourly"}


def render_report(report: ReportData, path: str) -> str:
    """Return the page at `path` of the store as HTML. The same report gives the same text."""
    tables = [contenders_table(report), findings_table(report), facts_table(report), left_out_table(report)]
    content = {
        "report": report,
        "summary": _summarise(report),
        "tiles": _tiles(report),
        "glossary": _GLOSSARY,
        "columns": series_columns(report.series),
        "data": REPORT_DATA,
        "index": "../" * path.count("/") + INDEX,
        "scores": None if report.scores is None else scores_table(report.scores),
        "score_charts": _score_charts(report),
        "loss_curve": f"{REPORT_DATA}/{LOSS_CURVE}" if report.loss_curve is not None else "",
        **{table.key.replace("-", "_"): table for table in tables},
    }
    return render_page("report.html.j2", path, content)


def report_pictures(report: ReportData) -> dict[str, bytes]:
    """Return the pictures that the page shows, PNG, by their file names in the folder of its data."""
    scores = {} if report.scores is None else report.scores.charts
    pictures = {f"scores-{origin}.png": png for origin, png in scores.items()}
    return pictures if report.loss_curve is None else pictures | {LOSS_CURVE: report.loss_curve}


def _score_charts(report: ReportData) -> list[Picture]:
    if report.scores is None:
        return []
    return score_pictures(report.scores, lambda anchor, _: f"{REPORT_DATA}/{anchor}.png")


def _frequency(freq: str) -> str:
    """`daily`, or `15-minute` for other bars."""
    unit = "minute" if freq.endswith("min") else "hour"
    return _FREQUENCIES.get(freq, f"{freq.rstrip('minh')}-{unit}")


def _summarise(report: ReportData) -> list[str]:
    """What was published, why, and how the publisher scored on the holdout, in sentences."""
    frequency = _frequency(report.freq)
    bars = "bar" if report.horizon == 1 else "bars"
    subject = f"{len(report.series):,} series, {report.horizon} {frequency} {bars} ahead"
    known = f"{report.known_at:%Y-%m-%d %H:%M} UTC"
    version = f", version {report.model_version[:VERSION_LETTERS]}" if report.model_version else ""
    prices = f"prices up to {report.as_of}, as known at {known}"
    return [
        SCOPE,
        *([] if mood_tiles(report.outlooks) else [mood_line(report.outlooks)]),
        f"{subject}, forecast by {report.model}{version} from {prices}.",
        f"{report.verdict} {_explain_skill(report.publisher)}",
    ]


def _explain_skill(publisher: Contender) -> str:
    if publisher.skill is None:
        return f"{publisher.model} has not been compared with the random walk."
    size = format_percent(abs(publisher.skill))
    if size == format_percent(0):
        return f"On the holdout, the loss of {publisher.model} was the same as the random walk's."
    way = "lower" if publisher.skill > 0 else "higher"
    return f"On the holdout, the loss of {publisher.model} was {size} {way} than the random walk's."


def _tiles(report: ReportData) -> list[tuple[str, str]]:
    """The most important numbers, each with its meaning."""
    publisher = report.publisher
    return [
        *mood_tiles(report.outlooks),
        (f"{len(report.series):,}", f"series forecast, {len(report.left_out):,} left out"),
        (format_percent(publisher.skill, signed=True), "skill against the random walk, on the holdout"),
        (format_percent(publisher.coverage_80), "of holdout prices inside the 80% interval"),
        (format_percent(publisher.coverage_90), "of holdout prices inside the 90% interval"),
    ]
