"""The report of a backtest: one HTML page that shows how good a model is."""

from typing import Any

import numpy as np
import pandas as pd

from forecasting.evaluation import breakdown
from forecasting.evaluation.backtest import BacktestResult
from forecasting.evaluation.diebold_mariano import DieboldMariano
from forecasting.evaluation.predictions import ScoredWindows
from forecasting.evaluation.scores import Score
from forecasting.formats import format_number, format_p_value, format_percent
from forecasting.models.baselines import EwmaWalk, RandomWalk
from forecasting.panel import Panel
from forecasting.quantiles import LEVELS
from forecasting.reports import backtest_charts as charts
from forecasting.reports.page import Cell, Column, Picture, Table, data_uri, render_page

EXTREMES = 4  # number of worst windows shown, and of best ones

_HORIZONS = 9  # number of steps in the table by step ahead
_IN_80 = Column("In 80%", numeric=True, note="share of prices inside the 80% interval")
_IN_90 = Column("In 90%", numeric=True, note="share of prices inside the 90% interval")
_SKILL = "against the random walk; above zero is better"
_WINDOWS = Column("Windows", numeric=True)
_PART = (
    Column("Skill", numeric=True, note=_SKILL),
    Column("EWMA walk's skill", numeric=True, note=_SKILL),
    _IN_80,
    _IN_90,
)


def render_backtest(panel: Panel, result: BacktestResult, path: str) -> str:
    """Return the page at `path` as HTML, relative to the folder of `_assets/`.

    The same backtest gives the same text.
    """
    windows, losses = result.windows, result.losses
    horizons, shares = breakdown.by_horizon(windows), breakdown.reliability(windows)
    worst, best = breakdown.extremes(losses, result.model, EXTREMES)
    page = {
        "panel": panel.name,
        "span": _span(panel, result),
        "summary": _summarise(panel, result),
        "tiles": _tiles(result),
        "scores": _scores_table(result.table),
        "tests": _tests_table(result),
        "steps": _pictures_by_step(horizons, result.model),
        "horizons": _horizons_table(horizons, result.model),
        "reliability": _reliability_picture(shares, result.model),
        "years": _years_table(losses, result.model),
        "series": _series_table(losses, result.model),
        "worst": _window_pictures(windows, result.model, worst, "worst"),
        "best": _window_pictures(windows, result.model, best, "best"),
        "small": charts.SMALL,
        "wide": charts.WIDE,
    }
    return render_page("backtest.html.j2", path, page)


def backtest_markdown(panel: Panel, result: BacktestResult) -> str:
    """Return a short summary in Markdown: the sentences, the scores, and the chart of skill."""
    scores = _scores_table(result.table)
    head = [column.name for column in scores.columns]
    lines = [
        head,
        ["---", *("---:" for _ in head[1:])],
        *([cell.text for cell in row] for row in scores.rows),
    ]
    horizons = breakdown.by_horizon(result.windows)
    picture = _pictures_by_step(horizons, result.model)[0]
    return "\n\n".join(
        [
            *_summarise(panel, result),
            "\n".join(f"| {' | '.join(line)} |" for line in lines),
            scores.caption,
            f"![{picture.alt}]({picture.uri})",
        ]
    )


def _span(panel: Panel, result: BacktestResult) -> str:
    first, last = (panel.label(cutoff) for cutoff in result.cutoffs[[0, -1]])
    return f"{first} to {last}"


def _summarise(panel: Panel, result: BacktestResult) -> list[str]:
    """What the backtest did, and the result of each test, in sentences."""
    plan, score = result.plan, _score_of(result.table, result.model)
    once = "once, at the first cutoff" if plan.trainings == 1 else f"{plan.trainings} times"
    more = f"; {result.unscored} more windows have no complete target" if result.unscored else ""
    return [
        (
            f"{result.model} and both random walks forecast at {len(result.cutoffs)} cutoffs from "
            f"{_span(panel, result)}, {plan.stride} bars apart: {score.series} series, {score.windows} "
            f"windows of {panel.forecast.horizon} bars{more}. The model was trained {once}."
        ),
        *(_explain(test) for test in result.tests),
    ]


def _explain(test: DieboldMariano) -> str:
    """One test's result, in a sentence."""
    pair = f"{test.candidate} against {test.opponent}: {test.verdict}"
    if not test.difference:
        return f"{pair}."
    way = "lower" if test.difference < 0 else "higher"
    amount = f"its loss is {way} by {format_percent(abs(test.difference), 2)} of the random walk's loss"
    if test.p_value is None:
        return f"{pair}; {amount}."
    size = f"Diebold-Mariano {format_number(test.statistic, 2)}, p {format_p_value(test.p_value)}"
    return f"{pair}; {amount} ({size})."


def _score_of(scores: tuple[Score, ...], candidate: str) -> Score:
    return next(score for score in scores if score.candidate == candidate)


def _tiles(result: BacktestResult) -> list[tuple[str, str]]:
    """The most important numbers, each with its meaning."""
    score = _score_of(result.table, result.model)
    return [
        (format_percent(score.skill, signed=True), "skill against the random walk"),
        (format_percent(score.skill_to_ewma_walk, signed=True), "skill against the EWMA walk"),
        (format_percent(score.coverage_80), "of prices inside the 80% interval"),
        (format_percent(score.coverage_90), "of prices inside the 90% interval"),
    ]


def _number(value: float | None, decimals: int) -> Cell:
    return Cell(format_number(value, decimals), value)


def _percent(value: float | None, *, signed: bool = False) -> Cell:
    """The cell of a share. NaN and None sort last."""
    known = None if value is None or np.isnan(value) else float(value)
    return Cell(format_percent(known, signed=signed), known)


def _scores_table(scores: tuple[Score, ...]) -> Table:
    columns = (
        Column("Candidate"),
        Column("SQL", numeric=True, note="scaled quantile loss, mean over series; lower is better"),
        Column("SQL ratio", numeric=True, note="to the random walk's, geometric mean over series"),
        Column("Arithmetic", numeric=True, note="the same ratio of arithmetic means over series"),
        Column("Skill", numeric=True, note=_SKILL),
        Column("To EWMA walk", numeric=True, note="skill against the EWMA walk"),
        Column("MASE", numeric=True, note="mean absolute scaled error of the point forecast"),
        Column("MASE ratio", numeric=True, note="to the last value's, geometric mean over series"),
        _IN_80,
        _IN_90,
    )
    rows = [
        [
            Cell(score.candidate),
            _number(score.scaled_quantile_loss, 4),
            _number(score.loss_ratio, 4),
            _number(score.loss_ratio_arithmetic, 4),
            _percent(score.skill, signed=True),
            _percent(score.skill_to_ewma_walk, signed=True),
            _number(score.mase, 3),
            _number(score.mase_ratio, 3),
            _percent(score.coverage_80),
            _percent(score.coverage_90),
        ]
        for score in scores
    ]
    caption = (
        "All candidates forecast the same windows. SQL is the scaled quantile loss. SQL ratio is its ratio "
        "to the random walk's, a geometric mean over series; a single extreme series can dominate the ratio "
        "of arithmetic means beside it."
    )
    return Table("scores", "Scores", caption, columns, rows)


def _tests_table(result: BacktestResult) -> Table:
    columns = (
        Column("Candidate"),
        Column("Against"),
        Column(
            "Difference", numeric=True, note="in loss, as a share of the random walk's; below 0 is better"
        ),
        Column("Standard error", numeric=True),
        Column("Diebold-Mariano", numeric=True, note="the difference divided by its standard error"),
        Column("p", numeric=True, note="probability of so large a difference, either way, by chance alone"),
        Column("Cutoffs", numeric=True),
        Column("Lags", numeric=True, note="number of autocovariances in the variance"),
        Column("Verdict"),
    )
    rows = [
        [
            Cell(test.candidate),
            Cell(test.opponent),
            Cell(format_percent(test.difference, 2, signed=True), test.difference),
            Cell(format_percent(test.standard_error, 2), test.standard_error),
            _number(test.statistic, 2),
            Cell(format_p_value(test.p_value), test.p_value),
            Cell(format_number(test.dates, 0), test.dates),
            Cell(format_number(test.lag, 0), test.lag),
            Cell(test.verdict),
        ]
        for test in result.tests
    ]
    caption = (
        "Whether a difference is more than chance. At each cutoff, the difference in loss is a mean over "
        "series, each as a share of its mean random-walk loss. This mean is arithmetic, so its sign may "
        "differ from that of a skill, which is geometric. Method: Diebold-Mariano test with the variance of "
        "Newey and West, the small-sample correction of Harvey, Leybourne and Newbold, and Student's t."
    )
    return Table("tests", "Tests", caption, columns, rows)


def _pictures_by_step(horizons: pd.DataFrame, model: str) -> list[Picture]:
    own = horizons.loc[model]
    first, last = (format_percent(own["skill"].iloc[at], signed=True) for at in (0, -1))
    skill = f"Skill by step ahead: {model} has {first} at the first step and {last} at the last."
    inside = [format_percent(own[f"coverage_{percent}"].iloc[-1]) for percent in (80, 90)]
    coverage = (
        f"Coverage by step ahead: at the last step, {inside[0]} of the prices were inside the 80% intervals "
        f"of {model} and {inside[1]} inside the 90% ones."
    )
    return [
        Picture("skill-by-step", skill, data_uri(charts.draw_skill(horizons))),
        Picture("coverage-by-step", coverage, data_uri(charts.draw_coverage(horizons))),
    ]


def _part(own: Any, walk: Any) -> list[Cell]:
    """The cells of `_PART`: scores of the model and the EWMA walk on one part of the windows."""
    return [
        _percent(own.skill, signed=True),
        _percent(walk.skill, signed=True),
        _percent(own.coverage_80),
        _percent(own.coverage_90),
    ]


def _horizons_table(horizons: pd.DataFrame, model: str) -> Table:
    own, walk = horizons.loc[model], horizons.loc[EwmaWalk.name]
    steps = np.unique(np.geomspace(1, len(own), _HORIZONS).round().astype(int))
    rows = [[Cell(str(step)), *_part(own.loc[step], walk.loc[step])] for step in steps]
    caption = f"Scores of {model} at selected steps ahead, in bars."
    return Table("horizons", "Selected steps", caption, (Column("Step ahead"), *_PART), rows)


def _reliability_picture(shares: pd.DataFrame, model: str) -> Picture:
    excess = shares.loc[model].to_numpy() - LEVELS
    farthest = int(np.abs(excess).argmax())
    alt = (
        f"Reliability: the share of prices below each quantile, minus the quantile's level. {model} deviates "
        f"most at {LEVELS[farthest]:.0%}, by {format_number(100 * excess[farthest], 1)} percentage points."
    )
    return Picture("reliability-by-quantile", alt, data_uri(charts.draw_reliability(shares)))


def _years_table(losses: pd.DataFrame, model: str) -> Table:
    arithmetic = Column("Arithmetic", numeric=True, note="loss ratio of arithmetic means; below 1 is better")
    rows = []
    for year, scores in breakdown.by_year(losses).items():
        own, walk = _score_of(scores, model), _score_of(scores, EwmaWalk.name)
        ratio = _number(own.loss_ratio_arithmetic, 3)
        rows.append([Cell(str(year)), _number(own.windows, 0), *_part(own, walk), ratio])
    caption = f"Scores of {model} by calendar year of the cutoff."
    return Table("years", "By year", caption, (Column("Year"), _WINDOWS, *_PART, arithmetic), rows)


def _series_table(losses: pd.DataFrame, model: str) -> Table:
    series = breakdown.by_series(losses)
    pairs = zip(series.loc[model].itertuples(), series.loc[EwmaWalk.name].itertuples(), strict=True)
    rows = [[Cell(str(own.Index)), _number(own.windows, 0), *_part(own, walk)] for own, walk in pairs]
    caption = f"Scores of {model} by series. Click a heading to sort by its column."
    return Table("series", "By series", caption, (Column("Series"), _WINDOWS, *_PART), rows)


def _window_pictures(windows: ScoredWindows, model: str, difference: pd.Series, kind: str) -> list[Picture]:
    places = pd.MultiIndex.from_frame(windows.keys[["candidate", "as_of", "unique_id"]])
    pictures = []
    for number, window in enumerate(difference.index, start=1):
        own, walk = (places.get_loc((name, *window)) for name in (model, RandomWalk.name))
        chart = _window_chart(windows, own, walk)
        alt = f"{chart.title}: {chart.result}."
        pictures.append(Picture(f"{kind}-{number}", alt, data_uri(charts.draw_window(chart))))
    return pictures


def _window_chart(windows: ScoredWindows, own: Any, walk: Any) -> charts.WindowChart:
    key, losses = windows.keys.iloc[own], windows.losses["scaled_quantile_loss"]
    return charts.WindowChart(
        unique_id=key["unique_id"],
        cutoff=key["cutoff"].tz_localize(None).to_datetime64(),
        y_cutoff=key["y_cutoff"],
        ds=windows.ds[own],
        y=windows.y[own],
        quantiles=windows.quantiles[own],
        walk=windows.quantiles[walk],
        loss=losses[own],
        walk_loss=losses[walk],
    )
