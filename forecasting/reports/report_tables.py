"""The tables of the report beside the one of series: who publishes, findings, series left out, facts."""

from forecasting.formats import format_number, format_percent
from forecasting.reports.findings_tables import FINDING_COLUMNS, finding_row, worst_first
from forecasting.reports.page import Cell, Column, Table
from forecasting.reports.report_contents import VERSION_LETTERS, ReportData

_MOST_ROWS = 10  # of findings that are shown without being asked for


def findings_table(report: ReportData) -> Table:
    """Return the findings, the worst first."""
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
    empty = "The audit found nothing wrong with the prices."
    title, folded = f"Findings ({len(rows)})", len(rows) > _MOST_ROWS
    return Table("findings", title, caption, columns, rows, empty, folded=folded)


def left_out_table(report: ReportData) -> Table:
    """Return the series without a forecast, each with the reason."""
    rows = [[Cell(series.unique_id), Cell(series.reason)] for series in report.left_out]
    caption = "These series have no forecast in this run. Their valid prices are kept."
    columns = (Column("Series"), Column("Why"))
    title = f"Left out ({len(rows)})"
    return Table("left-out", title, caption, columns, rows, "No series was left out.", folded=True)


def contenders_table(report: ReportData) -> Table:
    """Return the scores of all candidates on the holdout."""
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
            Cell(f"{contender.model} {contender.version[:VERSION_LETTERS]}".rstrip()),
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


def facts_table(report: ReportData) -> Table:
    """Return the run's facts by name."""
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
