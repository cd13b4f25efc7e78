"""The series table: one row for each series, the same in the report and in the Prefect UI."""

from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from forecasting.evaluation.verdict import SeriesScore, Verdict
from forecasting.formats import format_change, format_percent, format_price, format_time, price_size


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
        score: the publisher's score on the series' holdout.
        chart_file: the file name of the series' chart in `_charts/`; empty if there is none.
        chart: the chart, PNG; None unless the report embeds it.
    """

    unique_id: str
    cutoff: datetime
    y_cutoff: float
    median: float
    low: float
    high: float
    model: str
    score: SeriesScore = field(default_factory=SeriesScore)
    chart_file: str = ""
    chart: bytes | None = None

    @property
    def size(self) -> float:
        """The magnitude that decides how many decimals the prices have."""
        return price_size(self.y_cutoff, self.low, self.high)

    @property
    def move(self) -> float:
        """How far the median is from the last price, in widths of the 80% range."""
        return abs(self.median - self.y_cutoff) / max(self.high - self.low, 1e-300)


def series_results(table: pa.Table, verdict: Verdict | None) -> list[SeriesResult]:
    """Return each series' result, from a forecast in the contract's columns, in its order."""
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
        "Median": format_price(result.median, size),
        "Change": format_change(result.median, result.y_cutoff),
        "80% range": f"{format_price(result.low, size)} to {format_price(result.high, size)}",
        "Skill": format_percent(result.score.skill, signed=True),
        "In 80%": format_percent(result.score.coverage_80),
        "In 90%": format_percent(result.score.coverage_90),
        "Model": result.model,
    }
