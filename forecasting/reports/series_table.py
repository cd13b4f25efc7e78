"""The series table: one row for each series, the same in the report and in the Prefect UI."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from forecasting.evaluation.verdict import SeriesScore, Verdict
from forecasting.formats import (
    format_change,
    format_odds,
    format_percent,
    format_price,
    format_time,
    price_size,
)
from forecasting.reports.moods import format_width
from forecasting.reports.odds import odds_heading
from forecasting.reports.outlook import Outlook


@dataclass(frozen=True)
class SeriesResult:
    """The forecast of one series, at the horizon.

    Attributes:
        unique_id: the series.
        cutoff: the series' last bar, UTC.
        y_cutoff: the price at the cutoff.
        median: the forecast median at the horizon, in price units.
        low: the 10% quantile at the horizon, in price units.
        high: the 90% quantile at the horizon, in price units.
        model: the model that forecasts the series.
        outlook: how wide the 80% range is for the series, and the odds of large moves.
        score: the publisher's score on the series' holdout.
        chart_file: the file name of the series' picture in `_charts/`; empty if there is none.
    """

    unique_id: str
    cutoff: datetime
    y_cutoff: float
    median: float
    low: float
    high: float
    model: str
    outlook: Outlook = field(default_factory=Outlook)
    score: SeriesScore = field(default_factory=SeriesScore)
    chart_file: str = ""

    @property
    def size(self) -> float:
        """The magnitude that decides how many decimals the prices have."""
        return price_size(self.y_cutoff, self.low, self.high)


def series_results(
    table: pa.Table, verdict: Verdict | None, outlooks: Mapping[str, Outlook]
) -> list[SeriesResult]:
    """Return each series' result, from a forecast in the contract's columns, in its order.

    `outlooks` are by series; a series may have none.
    """
    scores = verdict.series if verdict else {}
    ends = table.filter(pc.equal(table["h"], pc.max(table["h"]))).to_pylist()
    return [
        SeriesResult(
            unique_id=row["unique_id"],
            cutoff=row["cutoff"],
            y_cutoff=row["y_cutoff"],
            median=row["q50"],
            low=row["q10"],
            high=row["q90"],
            model=row["model"],
            outlook=outlooks.get(row["unique_id"], Outlook()),
            score=scores.get(row["unique_id"], SeriesScore()),
        )
        for row in ends
    ]


def series_row(result: SeriesResult, *, daily: bool) -> dict[str, str]:
    """Return a series' row by column heading, formatted for people."""
    size = result.size
    return {
        "Series": result.unique_id,
        "Last bar": format_time(result.cutoff, daily=daily),
        "Last price": format_price(result.y_cutoff, size),
        "80% range": f"{format_price(result.low, size)} to {format_price(result.high, size)}",
        "Width": format_width(result.outlook),
        **{odds_heading(column): format_odds(odds) for column, odds in result.outlook.odds.items()},
        "Median": format_price(result.median, size),
        "Change": format_change(result.median, result.y_cutoff),
        "Skill": format_percent(result.score.skill, signed=True),
        "In 80%": format_percent(result.score.coverage_80),
        "In 90%": format_percent(result.score.coverage_90),
        "Model": result.model,
    }
