"""The summary of realised scores for the terminal, the report and the Prefect UI."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from forecasting.as_of import to_datetime
from forecasting.formats import format_date, format_number, format_percent
from forecasting.panel import Panel
from forecasting.reports.page import Cell, Column, Picture, Table, data_uri
from forecasting.scoring.limits import exceeded_limit
from forecasting.scoring.track_record import (
    Estimate,
    Realised,
    by_series,
    over_time,
    realised,
    summarise_span,
)

# The columns of `span_cells`.
COLUMNS = (
    Column("Forecasts", note="live or backfilled, and the span in days up to the newest one scored"),
    Column("How many", numeric=True),
    Column("Independent", numeric=True, note="number of windows that do not overlap"),
    Column("Series", numeric=True),
    Column("Skill", numeric=True, note="against the random walk; above zero is better"),
    Column("Skill to EWMA walk", numeric=True, note="above zero is better"),
    Column("In 80%", numeric=True, note="share of prices inside the 80% interval"),
    Column("In 90%", numeric=True, note="share of prices inside the 90% interval"),
    Column("Above median", numeric=True, note="share of prices above the median; 50% is unbiased"),
    Column(
        "Bias", numeric=True, note="mean of price minus median, in units of the series' mean one-bar change"
    ),
)
EXPLANATION = (
    "The number after \N{PLUS-MINUS SIGN} is the uncertainty: one standard error, computed from the "
    "independent windows. It is missing where there are too few of them."
)
# Days that a chart shows. The dots of more nights would not be distinguishable.
_CHART_DAYS = 2 * 365
_NAMES = {"live": "live", "backfill": "backfilled"}


@dataclass(frozen=True)
class ScoreSummary:
    """The realised scores of a panel's published forecasts.

    Attributes:
        panel: the panel's name.
        spans: scores over 90 days, 365 days and all days, of live forecasts, then of backfilled ones.
        charts: chart of skill and coverage over time by origin, PNG.
        series: `track_record.by_series` of all live forecasts; if there are none, of all backfilled ones.
        poor: which limit the live forecasts of `[scoring].days` exceed, in words; empty if they exceed none.
    """

    panel: str
    spans: tuple[Realised, ...]
    charts: dict[str, bytes]
    series: pd.DataFrame
    poor: str = ""


def summarise_scores(panel: Panel, tally: pd.DataFrame | None) -> ScoreSummary | None:
    """Summarise a tally of `track_record.read_tally`; return None if the tally is None or empty."""
    if tally is None or tally.empty:
        return None
    from forecasting.reports.score_charts import draw_realised  # noqa: PLC0415 - matplotlib takes a second

    spans, days, charts, poor = realised(panel, tally), panel.scoring.days, {}, ""
    origins = list(dict.fromkeys(span.origin for span in spans))
    for origin in origins:
        own = tally[tally["origin"] == origin]
        recent = summarise_span(panel, origin, days, _of_days(own, days))
        charts[origin] = draw_realised(
            over_time(_of_days(own, max(_CHART_DAYS, days)), days, panel.forecast.horizon),
            recent,
            days,
            daily=not panel.bars.intraday,
        )
        if origin == "live" and (exceeded := exceeded_limit(panel, recent)):
            poor = f"in the last {days} days {exceeded}"
    first = tally[tally["origin"] == origins[0]]
    return ScoreSummary(panel.name, tuple(spans), charts, by_series(first), poor)


def _of_days(tally: pd.DataFrame, days: int) -> pd.DataFrame:
    return tally[tally["as_of"] > tally["as_of"].max() - pd.Timedelta(days=days)]


def span_cells(span: Realised) -> tuple[str, ...]:
    """Return one row of the table, with a cell for each of `COLUMNS`."""
    which = "all" if span.days is None else f"{span.days} days"
    return (
        f"{_NAMES[span.origin]}, {which}",
        format_number(span.forecasts, 0),
        format_number(span.independent, 0),
        format_number(span.series, 0),
        _percent(span.skill, signed=True),
        _percent(span.skill_to_ewma_walk, signed=True),
        _percent(span.coverage_80),
        _percent(span.coverage_90),
        _percent(span.above),
        _number(span.bias),
    )


def scores_table(summary: ScoreSummary) -> Table:
    """Return the spans as the report's table."""
    rows = [
        [Cell(text, value) for text, value in zip(span_cells(span), _values(span), strict=True)]
        for span in summary.spans
    ]
    caption = f"Scores of earlier forecasts, measured on the bars that have arrived since. {EXPLANATION}"
    return Table("scores", "Realised scores", caption, COLUMNS, rows)


def score_pictures(summary: ScoreSummary, address: Callable[[str, bytes], str]) -> list[Picture]:
    """Return the charts with their alternative text; `address` gives that of an anchor and its PNG."""
    pictures = []
    for origin, png in summary.charts.items():
        anchor = f"scores-{origin}"
        alt = f"Realised skill and coverage over time, {_NAMES[origin]}."
        pictures.append(Picture(anchor, alt, address(anchor, png)))
    return pictures


def score_lines(summary: ScoreSummary) -> list[str]:
    """Return the summary in Markdown: a heading, the table, its explanation, and the charts."""
    newest = summary.spans[0].last
    rows = [[column.name for column in COLUMNS], ["---"] * len(COLUMNS), *map(span_cells, summary.spans)]
    shown = score_pictures(summary, lambda _, png: data_uri(png))
    pictures = [f"![{picture.alt}]({picture.uri})" for picture in shown]
    last = format_date(to_datetime(newest), daily=newest == newest.astype("datetime64[D]"))
    return [
        f"**Realised scores of the forecasts of {summary.panel} up to {last}**",
        "\n".join(f"| {' | '.join(row)} |" for row in rows),
        EXPLANATION,
        *pictures,
    ]


def series_score_rows(summary: ScoreSummary) -> list[dict[str, str | None]]:
    """Return the realised scores of each series: one row for each, by column heading."""
    return [
        {
            "unique_id": str(unique_id),
            "forecasts": format_number(row["forecasts"], 0),
            "skill": format_percent(row["skill"], signed=True),
            "skill to EWMA walk": format_percent(row["skill_to_ewma_walk"], signed=True),
            "in 80%": format_percent(row["coverage_80"]),
            "in 90%": format_percent(row["coverage_90"]),
            "above median": format_percent(row["above"]),
            "bias": format_number(row["bias"], 2),
        }
        for unique_id, row in summary.series.iterrows()
    ]


def _values(span: Realised) -> tuple[float | None, ...]:
    """The values that the cells sort by."""
    estimates = (
        span.skill,
        span.skill_to_ewma_walk,
        span.coverage_80,
        span.coverage_90,
        span.above,
        span.bias,
    )
    return (None, span.forecasts, span.independent, span.series, *(each.value for each in estimates))


def _percent(estimate: Estimate, *, signed: bool = False) -> str:
    return _with_error(
        format_percent(estimate.value, signed=signed), estimate.error, format_percent(estimate.error)
    )


def _number(estimate: Estimate) -> str:
    return _with_error(format_number(estimate.value, 2), estimate.error, format_number(estimate.error, 2))


def _with_error(number: str, error: float | None, formatted_error: str) -> str:
    return number if error is None else f"{number} \N{PLUS-MINUS SIGN} {formatted_error}"
