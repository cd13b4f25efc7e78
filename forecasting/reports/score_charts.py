"""The chart of realised scores: skill and coverage of published forecasts over time.

A pure function from data to PNG bytes; the same data gives the same bytes. Each dot is one forecast, at its
`as_of`; it is pale until all bars of the forecast have arrived. The line is the score of all forecasts of the
`[scoring].days` up to that date. Left: skill against the random walk, with a dashed line at zero. Right: the
shares of prices inside the 80% interval (blue) and the 90% interval (red), with dashed lines at 80% and 90%.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forecasting.as_of import to_datetime
from forecasting.formats import format_date, format_percent
from forecasting.reports.colors import BLUE, GREY, INK, MUTED, RED
from forecasting.reports.drawing import DASHES, DPI, frame, label_ends, new_axes, to_png, write
from forecasting.reports.time_axis import mark_times
from forecasting.scoring.track_record import Estimate, Realised

SIZE = (1200, 440)  # pixels

_LEFT, _MIDDLE = 0.015, 0.515
_PALE = 0.3
_TITLES = {"live": "live forecasts", "backfill": "backfilled forecasts"}


def draw_realised(history: pd.DataFrame, so_far: Realised, days: int, *, daily: bool) -> bytes:
    """Draw skill and coverage over time: `SIZE`, PNG.

    Args:
        history: `track_record.over_time` of the forecasts of one origin.
        so_far: the scores of those forecasts over the last `days`.
        days: number of days of forecasts that each point of the line covers.
        daily: whether an `as_of` is a date.
    """
    figure = Figure(figsize=(SIZE[0] / DPI, SIZE[1] / DPI), dpi=DPI, facecolor="white")
    skill = new_axes(figure, (0.06, 0.13, 0.32, 0.62))
    skill.axhline(0, color=GREY, linewidth=1.5, linestyle=DASHES)
    _draw(skill, history, "skill", RED)
    _frame(skill, history, ["skill"], [0.0], daily=daily)
    label_ends(skill, [(100 * history["skill_so_far"].iloc[-1], _number(so_far.skill, signed=True), RED)])

    coverage = new_axes(figure, (0.56, 0.13, 0.32, 0.62))
    colors = {80: BLUE, 90: RED}
    for percent, color in colors.items():
        coverage.axhline(percent, color=GREY, linewidth=1.5, linestyle=DASHES)
        _draw(coverage, history, f"coverage_{percent}", color)
    _frame(coverage, history, ["coverage_80", "coverage_90"], [80.0, 90.0], daily=daily)
    shares = {80: so_far.coverage_80, 90: so_far.coverage_90}
    label_ends(
        coverage,
        [
            (100 * history[f"coverage_{percent}_so_far"].iloc[-1], _number(shares[percent]), color)
            for percent, color in colors.items()
        ],
    )
    _write(skill, coverage, so_far, days, daily=daily)
    return to_png(figure)


def _draw(axes: Axes, history: pd.DataFrame, name: str, color: str) -> None:
    """Draw a dot for each forecast, pale while bars are missing, and the line of the trailing span."""
    x, whole = np.arange(len(history)), history["whole"].to_numpy()
    dots = 100 * history[name].to_numpy()
    size = 26 if len(x) <= 60 else 9  # noqa: PLR2004 - more large dots than this would overlap
    for some, alpha in ((whole, 0.65), (~whole, _PALE)):
        axes.scatter(x[some], dots[some], s=size, color=color, alpha=alpha, linewidth=0)
    line = 100 * history[f"{name}_so_far"].to_numpy()
    axes.plot(x, line, color=color, linewidth=2.4, marker="o" if len(x) == 1 else "", markersize=4)


def _frame(axes: Axes, history: pd.DataFrame, names: list[str], aims: list[float], *, daily: bool) -> None:
    # The score of an incomplete forecast may be extreme: it must not set the scale for the others.
    dots = history[history["whole"]] if history["whole"].any() else history
    columns = [100 * dots[name].to_numpy() for name in names]
    columns += [100 * history[f"{name}_so_far"].to_numpy() for name in names]
    frame(axes, (-0.5, max(len(history) - 0.5, 1.0)), np.concatenate([*columns, aims]), "%")
    ds = history.index.to_numpy()
    axes.set_xticks(*_marks(ds, daily=daily))


def _marks(ds: np.ndarray, *, daily: bool) -> tuple[np.ndarray, list[str]]:
    """Marks where periods begin; for too few dates, marks at the first and the last date."""
    places, names = mark_times(ds, daily=daily, at_most=6)
    if len(places) > 1:
        return places, names
    ends = np.unique([0, len(ds) - 1])
    return ends, [format_date(to_datetime(ds[at]), daily=daily) for at in ends]


def _write(skill: Axes, coverage: Axes, so_far: Realised, days: int, *, daily: bool) -> None:
    first, last = (format_date(to_datetime(at), daily=daily) for at in (so_far.first, so_far.last))
    few = "" if so_far.skill.error is not None else ", too few for an uncertainty"
    many = "window" if so_far.independent == 1 else "windows"
    forecasts = "forecast" if so_far.forecasts == 1 else "forecasts"
    write(skill, (_LEFT, 0.92), 15, [(f"Realised skill, {_TITLES[so_far.origin]}", INK, "bold")])
    _write_lines(
        skill,
        _LEFT,
        "against the random walk; above the dashed line is better. Each dot is a forecast,",
        f"pale until all its bars have arrived. The line covers the last {days} days.",
    )
    title = [("Prices inside the", INK), ("80%", BLUE), ("and the", INK), ("90% interval", RED)]
    write(coverage, (_MIDDLE, 0.92), 15, [(words, color, "bold") for words, color in title])
    _write_lines(
        coverage,
        _MIDDLE,
        f"Dashed: the target. {first} to {last}: {so_far.forecasts} {forecasts}, which",
        f"overlap, so {so_far.independent} independent {many}{few}.",
    )


def _write_lines(axes: Axes, left: float, first: str, second: str) -> None:
    for place, line in ((0.865, first), (0.82, second)):
        write(axes, (left, place), 10, [(line, MUTED, "normal")])


def _number(estimate: Estimate, *, signed: bool = False) -> str:
    """The number at the line's end, with its standard error if that is known."""
    number = format_percent(estimate.value, signed=signed)
    return (
        number if estimate.error is None else f"{number} \N{PLUS-MINUS SIGN} {format_percent(estimate.error)}"
    )
