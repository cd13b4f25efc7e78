"""The index of the report's series: what its table shows, for the browser to search, sort and open.

One script for all series, with plain numbers, rounded to six digits. The page formats the rows it shows.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from forecasting.reports.chart_data import FAN, SCRIPT_SERIES, ChartGrid
from forecasting.reports.odds import odds_heading
from forecasting.reports.outlook import CALM, NERVOUS
from forecasting.reports.past_forecasts import QUANTILES
from forecasting.reports.report_contents import ReportData
from forecasting.reports.series_table import SeriesResult

INDEX = "index.js"


@dataclass(frozen=True)
class SeriesColumn:
    """A column of the table of series.

    Attributes:
        key: the name of its values in the index.
        name: its heading.
        kind: how `assets/formats.js` formats a value.
        note: what it means.
        always: whether narrow screens show it too. They show the others once a series is opened.
    """

    key: str
    name: str
    kind: str
    note: str = ""
    always: bool = False


def series_columns(results: Sequence[SeriesResult]) -> list[SeriesColumn]:
    """Return the table's columns. All series have the same odds; their model is shown where it differs."""
    odds = results[0].outlook.odds if results else {}
    models = {result.model for result in results}
    return [
        SeriesColumn("id", "Series", "text", always=True),
        SeriesColumn("cutoff", "Last bar", "time", "The last bar that the forecast knows."),
        SeriesColumn("price", "Last price", "price", "The price at the last bar."),
        SeriesColumn(
            "median",
            "Median",
            "price",
            "The forecast's middle: the price at the last step is as likely above it as below.",
            always=True,
        ),
        SeriesColumn("change", "Change", "change", "From the last price to the median."),
        SeriesColumn(
            "range",
            "80% range",
            "range",
            "The price at the last step is inside this range with a probability of 80%. The column sorts by "
            "its width relative to the last price.",
            always=True,
        ),
        SeriesColumn(
            "percentile",
            "Width",
            "width",
            "How wide the range is for this series: the share, in percent, of its earlier ranges that were "
            f"narrower. Up to {CALM} the series is calm, from {NERVOUS} it is nervous.",
            always=True,
        ),
        *(_odds_column(column) for column in odds),
        SeriesColumn(
            "skill",
            "Skill",
            "signed",
            "How much lower the loss on the holdout was than the random walk's. Above zero is better.",
        ),
        SeriesColumn("in80", "In 80%", "share", "Share of the holdout's prices inside the 80% interval."),
        SeriesColumn("in90", "In 90%", "share", "Share of the holdout's prices inside the 90% interval."),
        *([SeriesColumn("model", "Model", "choice", "Who forecasts the series.")] if len(models) > 1 else []),
    ]


def _odds_column(column: str) -> SeriesColumn:
    side = column.partition("_")[0]
    note = f"Probability that the price at the last step is {side} this level, relative to the last price."
    return SeriesColumn(column, odds_heading(column), "odds", note)


def index_script(report: ReportData, grid: ChartGrid, past: Sequence[str]) -> bytes:
    """Return the script with the index of the report's series, in the order of the scripts of their values.

    `past` are the `as_of`s of the past forecasts in the charts.
    """
    results = report.series
    odds = list(results[0].outlook.odds) if results else []
    models = sorted({result.model for result in results})
    cutoffs = np.array([result.cutoff.replace(tzinfo=None) for result in results], "datetime64[us]")
    record = {
        "horizon": report.horizon,
        "daily": report.daily,
        "price": report.target,
        "shard": SCRIPT_SERIES,
        "calm": CALM,
        "nervous": NERVOUS,
        "models": models,
        "times": grid.times.astype("datetime64[s]").astype(np.int64).tolist(),
        "history": grid.history,
        "fan": FAN,
        "pastCurves": QUANTILES,
        "past": list(past),
        "columns": [asdict(column) for column in series_columns(results)],
        "values": {
            "id": [result.unique_id for result in results],
            "cutoff": grid.places(cutoffs).tolist(),
            "price": _rounded(result.y_cutoff for result in results),
            "median": _rounded(result.median for result in results),
            "low": _rounded(result.low for result in results),
            "high": _rounded(result.high for result in results),
            "percentile": _rounded(result.outlook.percentile for result in results),
            **{name: _rounded(result.outlook.odds.get(name) for result in results) for name in odds},
            "skill": _rounded(result.score.skill for result in results),
            "in80": _rounded(result.score.coverage_80 for result in results),
            "in90": _rounded(result.score.coverage_90 for result in results),
            "model": [models.index(result.model) for result in results],
        },
        "pictures": {number: result.chart_file for number, result in enumerate(results) if result.chart_file},
    }
    return f"nightcast.setIndex({json.dumps(record, separators=(',', ':'), allow_nan=False)});\n".encode()


def _rounded(values: Iterable[float | None]) -> list[float | None]:
    return [None if value is None or math.isnan(value) else float(f"{value:.6g}") for value in values]
