"""The report: one self-contained HTML page on a published forecast, for the people who use it.

This module turns plain values into text; the template only lays the text out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import quote

from forecasting.calendar import is_intraday
from forecasting.findings import Finding
from forecasting.formats import (
    format_number,
    format_percent,
    format_price,
    format_time,
)
from forecasting.reports.findings_tables import FINDING_COLUMNS, finding_row, worst_first
from forecasting.reports.moods import SCOPE, WIDTH_RULE, mood_line, mood_tiles
from forecasting.reports.odds import odds_heading
from forecasting.reports.outlook import Outlook
from forecasting.reports.page import Cell, Column, Picture, Table, data_uri, render_page
from forecasting.reports.score_summary import ScoreSummary, score_pictures, scores_table
from forecasting.reports.series_table import SeriesResult, series_row

MAX_EMBEDDED_CHARTS = 60

_VERSION_LETTERS = 8
_FREQUENCIES = {"1M": "monthly", "1W": "weekly", "1D": "daily", "1h": "hourly"}


@dataclass(frozen=True)
class Contender:
    """One row of the gate's table: the scores of a model or baseline on the holdout.

    Attributes:
        role: challenger, champion, best on record or baseline.
        model: the model's name.
        version: the model's version; empty for a baseline.
        publishes: whether this one made the forecast.
    """

    role: str
    model: str
    version: str
    publishes: bool
    scaled_quantile_loss: float | None = None
    skill: float | None = None
    mase: float | None = None
    coverage_80: float | None = None
    coverage_90: float | None = None


@dataclass(frozen=True)
class LeftOut:
    """A series without a forecast, and the reason."""

    unique_id: str
    reason: str


@dataclass(frozen=True)
class ReportData:
    """The contents of the report.

    Attributes:
        panel: the panel's name.
        as_of: the forecast's `as_of`, as written in paths.
        known_at: when the store learned the newest price used, UTC.
        freq: frequency of the bars.
        horizon: steps ahead, in bars of `freq`.
        model: the model that publishes.
        model_version: that model's version.
        verdict: why that model publishes; complete sentences.
        series: the forecast of each series.
        contenders: the rows of the gate's table.
        gate: what the gate measured and what happens next; complete sentences.
        findings: the audit's findings.
        left_out: the series without a forecast.
        warnings: what the reader must know first; one sentence each.
        facts: the run's other facts by name, such as its forecast_id and the package version.
        loss_curve: the loss curve of the version trained last, whether it publishes or not, PNG.
        scores: the realised scores of earlier forecasts; None if there are none.
    """

    panel: str
    as_of: str
    known_at: datetime
    freq: str
    horizon: int
    model: str
    model_version: str
    verdict: str
    series: Sequence[SeriesResult]
    contenders: Sequence[Contender] = ()
    gate: str = ""
    findings: Sequence[Finding] = ()
    left_out: Sequence[LeftOut] = ()
    warnings: Sequence[str] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    loss_curve: bytes | None = None
    scores: ScoreSummary | None = None

    @property
    def daily(self) -> bool:
        """Whether bars are days or longer, so that dates suffice as labels."""
        return not is_intraday(self.freq)


def render_report(report: ReportData, path: str) -> str:
    """Return the page at `path` of the store as HTML. The same report gives the same text."""
    report = replace(report, series=sorted(report.series, key=lambda result: result.unique_id))
    shown = [result for result in report.series if result.chart is not None][:MAX_EMBEDDED_CHARTS]
    anchors = {result.unique_id: f"chart-{number}" for number, result in enumerate(shown, start=1)}
    page = {
        "report": report,
        "summary": _summarise(report),
        "tiles": _tiles(report),
        "series": _series_table(report, anchors),
        "pictures": [_picture(report, result, anchors[result.unique_id]) for result in shown],
        "charts_note": _explain_charts(report, shown),
        "findings": _findings_table(report),
        "left_out": _left_out_table(report),
        "contenders": _contenders_table(report),
        "scores": None if report.scores is None else scores_table(report.scores),
        "score_charts": [] if report.scores is None else score_pictures(report.scores),
        "loss_curve": data_uri(report.loss_curve),
        "facts": _facts_table(report),
    }
    sections = {
        "series": "Series",
        "charts": "Charts" if shown else "",
        "findings": f"Findings ({len(report.findings)})",
        "left-out": f"Left out ({len(report.left_out)})",
        "gate": "Who publishes",
        "scores": "Realised scores" if report.scores is not None else "",
        "training": "Training" if report.loss_curve is not None else "",
        "run": "This run",
    }
    page["sections"] = [(key, title) for key, title in sections.items() if title]
    return render_page("report.html.j2", path, page)


def _frequency(freq: str) -> str:
    """`daily`, or `15-minute` for other bars."""
    unit = "minute" if freq.endswith("min") else "hour"
    return _FREQUENCIES.get(freq, f"{freq.rstrip('minh')}-{unit}")


def _summarise(report: ReportData) -> list[str]:
    """What was published, why, and how the publisher scored on the holdout, in sentences."""
    frequency = _frequency(report.freq)
    bars = "bar" if report.horizon == 1 else "bars"
    subject = f"{len(report.series)} series, {report.horizon} {frequency} {bars} ahead"
    known = f"{report.known_at:%Y-%m-%d %H:%M} UTC"
    version = f", version {report.model_version[:_VERSION_LETTERS]}" if report.model_version else ""
    prices = f"prices up to {report.as_of}, as known at {known}"
    return [
        SCOPE,
        *([] if mood_tiles(_outlooks(report)) else [mood_line(_outlooks(report))]),
        f"{subject}, forecast by {report.model}{version} from {prices}.",
        report.verdict,
        _explain_skill(_publisher(report)),
    ]


def _outlooks(report: ReportData) -> dict[str, Outlook]:
    return {result.unique_id: result.outlook for result in report.series}


def _publisher(report: ReportData) -> Contender:
    """The row of the model that publishes; a row without numbers if nothing was compared."""
    untested = Contender("", report.model, report.model_version, publishes=True)
    return next((contender for contender in report.contenders if contender.publishes), untested)


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
    publisher = _publisher(report)
    return [
        *mood_tiles(_outlooks(report)),
        (str(len(report.series)), f"series forecast, {len(report.left_out)} left out"),
        (format_percent(publisher.skill, signed=True), "skill against the random walk, on the holdout"),
        (format_percent(publisher.coverage_80), "of holdout prices inside the 80% interval"),
        (format_percent(publisher.coverage_90), "of holdout prices inside the 90% interval"),
    ]


def _series_table(report: ReportData, anchors: Mapping[str, str]) -> Table:
    columns = (
        Column("Series"),
        Column("Last bar", short=True),
        Column("Last price", numeric=True),
        Column("80% range", numeric=True, note="sorts by its width relative to the last price"),
        Column("Width", numeric=True, note="percentile of the width among earlier ones of the series"),
        *(Column(name, numeric=True, note=note) for name, note in _odds_notes(report).items()),
        Column("Median", numeric=True),
        Column("Change", numeric=True),
        Column("Skill", numeric=True, note="on the holdout, against the random walk; above zero is better"),
        Column("In 80%", numeric=True, note="share of holdout prices inside the 80% interval"),
        Column("In 90%", numeric=True, note="share of holdout prices inside the 90% interval"),
        Column("Model"),
    )
    rows = [_series_row(result, _chart_href(result, anchors), daily=report.daily) for result in report.series]
    caption = (
        f"80% range, odds, median and change are {report.horizon} bars ahead. {WIDTH_RULE} Headings with < "
        "or > are the odds that the price is then so far from the last price. Skill against the random walk "
        "and the share of prices inside each interval are measured on the holdout. Click a heading to sort "
        "by its column."
    )
    return Table("series", "Series", caption, columns, rows)


def _odds_notes(report: ReportData) -> dict[str, str]:
    """What each odds' column means, by its heading. All series have the same columns."""
    columns = report.series[0].outlook.odds if report.series else ()
    return {
        odds_heading(column): f"odds that the price at the last bar is {column.partition('_')[0]} this level"
        for column in columns
    }


def _series_row(result: SeriesResult, href: str, *, daily: bool) -> list[Cell]:
    price = abs(result.y_cutoff)
    sort_by = {
        "Last price": result.y_cutoff,
        "Median": result.median,
        "Change": (result.median - result.y_cutoff) / price if price else None,
        "80% range": (result.high - result.low) / price if price else None,
        "Width": result.outlook.percentile,
        **{odds_heading(column): odds for column, odds in result.outlook.odds.items()},
        "Skill": result.score.skill,
        "In 80%": result.score.coverage_80,
        "In 90%": result.score.coverage_90,
    }
    return [
        Cell(text, sort_by.get(name), href if name == "Series" else "")
        for name, text in series_row(result, daily=daily).items()
    ]


def _chart_href(result: SeriesResult, anchors: Mapping[str, str]) -> str:
    """The link to a series' chart: on this page, or in `_charts/` beside it; empty if there is no chart."""
    if result.unique_id in anchors:
        return f"#{anchors[result.unique_id]}"
    return f"_charts/{quote(result.chart_file, safe='')}" if result.chart_file else ""


def _explain_charts(report: ReportData, shown: Sequence[SeriesResult]) -> str:
    how = (
        "Left: the forecast. Right: an earlier forecast, and the actual prices. "
        "Blue is actual, red is predicted."
    )
    others = sum(bool(result.chart_file) for result in report.series) - len(shown)
    if others <= 0:
        return how
    return (
        f"{how} This page shows the first {len(shown)} series; {others} more are in _charts/, "
        "linked from the table above."
    )


def _picture(report: ReportData, result: SeriesResult, anchor: str) -> Picture:
    size = result.size
    last, median, low, high = (
        format_price(price, size) for price in (result.y_cutoff, result.median, result.low, result.high)
    )
    cutoff = format_time(result.cutoff, daily=report.daily)
    alt = (
        f"{result.unique_id}: {last} on {cutoff}, median forecast {median} in {report.horizon} bars, "
        f"80% range {low} to {high}; beside it, if there is one, an earlier forecast with the actual prices."
    )
    return Picture(anchor, alt, data_uri(result.chart))


def _findings_table(report: ReportData) -> Table:
    columns = [Column(name.capitalize(), numeric=name == "rows") for name in FINDING_COLUMNS]
    rows = [
        [
            Cell(text, float(finding.rows) if name == "rows" else None)
            for name, text in finding_row(finding).items()
        ]
        for finding in worst_first(report.findings)
    ]
    caption = (
        "Findings of the audit of the incoming prices, the worst first. A finding without a series concerns "
        "the whole panel. _findings.parquet, beside this page, also explains each code."
    )
    return Table(
        "findings", "Findings", caption, columns, rows, "The audit found nothing wrong with the prices."
    )


def _left_out_table(report: ReportData) -> Table:
    rows = [[Cell(series.unique_id), Cell(series.reason)] for series in report.left_out]
    caption = "These series have no forecast in this run. Their valid prices are kept."
    columns = (Column("Series"), Column("Why"))
    return Table("left-out", "Left out", caption, columns, rows, "No series was left out.")


def _contenders_table(report: ReportData) -> Table:
    columns = (
        Column("Model"),
        Column("Role"),
        Column("Scaled quantile loss", numeric=True, note="lower is better"),
        Column("Skill", numeric=True, note="against the random walk; above zero is better"),
        Column("MASE", numeric=True, note="mean absolute scaled error of the median; lower is better"),
        Column("In 80%", numeric=True, note="share of prices inside the 80% interval"),
        Column("In 90%", numeric=True, note="share of prices inside the 90% interval"),
        Column("Publishes"),
    )
    rows = [
        [
            Cell(f"{contender.model} {contender.version[:_VERSION_LETTERS]}".rstrip()),
            Cell(contender.role),
            Cell(format_number(contender.scaled_quantile_loss, 4), contender.scaled_quantile_loss),
            Cell(format_percent(contender.skill, signed=True), contender.skill),
            Cell(format_number(contender.mase, 3), contender.mase),
            Cell(format_percent(contender.coverage_80), contender.coverage_80),
            Cell(format_percent(contender.coverage_90), contender.coverage_90),
            Cell("yes" if contender.publishes else ""),
        ]
        for contender in report.contenders
    ]
    caption = (
        "All candidates forecast the same windows of the holdout, on which no model was trained. "
        f"{report.gate}"
    ).rstrip()
    return Table("gate", "Who publishes", caption, columns, rows, "Nothing was compared on the holdout.")


def _facts_table(report: ReportData) -> Table:
    facts = {
        "Panel": report.panel,
        "As of": report.as_of,
        "Known at": f"{report.known_at:%Y-%m-%d %H:%M:%S} UTC",
        "Model": f"{report.model} {report.model_version}".rstrip(),
        **report.facts,
    }
    rows = [[Cell(name), Cell(value)] for name, value in facts.items()]
    caption = "What you need to find this forecast, or to reproduce it."
    return Table("run", "This run", caption, (Column("Fact"), Column("Value")), rows)
