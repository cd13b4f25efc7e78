"""Charts of a backtest: skill and coverage by step ahead, reliability, and single windows.

Pure functions from data to PNG bytes; the same data gives the same bytes. The model is red, the EWMA walk
blue and the random walk grey. In the chart of a window, actual prices are blue and predicted ones red.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forecasting.as_of import to_datetime
from forecasting.formats import format_date, format_number
from forecasting.models.baselines import EwmaWalk, RandomWalk
from forecasting.quantiles import HIGH_80, LOW_80, MEDIAN
from forecasting.reports.colors import BLUE, GREY, INK, MUTED, RED
from forecasting.reports.drawing import (
    DASHES,
    DPI,
    draw_fan,
    frame,
    label_ends,
    mark_steps,
    new_axes,
    to_png,
    write,
)
from forecasting.reports.time_axis import mark_times

WIDE = (1200, 420)  # pixels of the charts by step and by quantile
SMALL = (590, 400)  # pixels of a window's chart

_LEFT = 0.015
_COLORS = {EwmaWalk.name: BLUE, RandomWalk.name: GREY}


@dataclass(frozen=True)
class WindowChart:
    """One window of a backtest.

    Attributes:
        unique_id: the series.
        cutoff: the last bar that the forecast knew, UTC.
        y_cutoff: the price at the cutoff.
        ds: (H,) datetime64; the target bars, UTC.
        y: (H,) the actual prices.
        quantiles: (H, 11) the model's price quantiles.
        walk: (H, 11) the random walk's price quantiles.
        loss: the model's scaled quantile loss.
        walk_loss: the random walk's scaled quantile loss.
    """

    unique_id: str
    cutoff: np.datetime64
    y_cutoff: float
    ds: np.ndarray
    y: np.ndarray
    quantiles: np.ndarray
    walk: np.ndarray
    loss: float
    walk_loss: float

    @property
    def daily(self) -> bool:
        """Whether every bar starts at midnight, so that dates suffice as labels."""
        return bool((self.ds == self.ds.astype("datetime64[D]")).all())

    @property
    def title(self) -> str:
        """The series and the date of its forecast."""
        return f"{self.unique_id} on {format_date(to_datetime(self.cutoff), daily=self.daily)}"

    @property
    def result(self) -> str:
        """Both losses, in words."""
        loss, walk_loss = (format_number(value, 2) for value in (self.loss, self.walk_loss))
        return f"loss {loss}, random walk {walk_loss}"


def draw_skill(horizons: pd.DataFrame) -> bytes:
    """Draw each candidate's skill against the random walk by step ahead: `WIDE`, PNG.

    `horizons` is the result of `breakdown.by_horizon`.
    """
    figure = _figure(WIDE)
    axes = new_axes(figure, (0.06, 0.13, 0.83, 0.66))
    _draw_by_step(axes, 100 * horizons["skill"], "%")
    write(axes, (_LEFT, 0.91), 15, [("Skill by step ahead", INK, "bold")])
    note = "1 - loss / the random walk's loss, geometric mean over series; above zero is better"
    write(axes, (_LEFT, 0.845), 10.5, [(note, MUTED, "normal")])
    return to_png(figure)


def draw_coverage(horizons: pd.DataFrame) -> bytes:
    """Draw the share of prices inside the 80% and the 90% interval by step ahead: `WIDE`, PNG."""
    figure = _figure(WIDE)
    for left, percent in ((0.06, 80), (0.565, 90)):
        axes = new_axes(figure, (left, 0.13, 0.325, 0.66))
        coverage = 100 * horizons[f"coverage_{percent}"]
        _draw_by_step(axes, coverage, "%", aim=percent)
        write(
            axes, (left - 0.045, 0.91), 15, [(f"Coverage of {percent}% intervals by step ahead", INK, "bold")]
        )
        note = "share of prices inside the interval; the dashed line is the target"
        write(axes, (left - 0.045, 0.845), 10.5, [(note, MUTED, "normal")])
    return to_png(figure)


def draw_reliability(shares: pd.DataFrame) -> bytes:
    """Draw how far the share of prices below each quantile is from the quantile's level: `WIDE`, PNG.

    `shares` is the result of `breakdown.reliability`.
    """
    figure = _figure(WIDE)
    axes = new_axes(figure, (0.06, 0.13, 0.83, 0.66))
    levels = 100 * shares.columns.to_numpy(dtype=float)
    excess = 100 * shares.to_numpy() - levels
    axes.axhline(0, color=GREY, linewidth=1.5, linestyle=DASHES)
    for name, values in zip(shares.index, excess, strict=True):
        axes.plot(levels, values, color=_color(name), linewidth=2, marker="o", markersize=5)
    frame(axes, (levels[0] - 1, levels[-1] + 1), np.append(excess, 0.0), " pts")
    axes.set_xticks(levels, [f"q{level:02.0f}" for level in levels])
    label_ends(axes, [(row[-1], name, _color(name)) for name, row in zip(shares.index, excess, strict=True)])
    write(axes, (_LEFT, 0.91), 15, [("Reliability of the quantiles", INK, "bold")])
    note = "share of prices below each quantile minus its level, in percentage points; zero is perfect"
    write(axes, (_LEFT, 0.845), 10.5, [(note, MUTED, "normal")])
    return to_png(figure)


def draw_window(window: WindowChart) -> bytes:
    """Draw the actual prices over the model's forecast and the random walk's 80% interval: `SMALL`, PNG."""
    figure = _figure(SMALL)
    axes = new_axes(figure, (0.12, 0.14, 0.72, 0.64))
    ds = np.concatenate([[window.cutoff], window.ds])
    steps = np.arange(len(ds))
    draw_fan(axes, 0, window.y_cutoff, window.quantiles)
    for quantile in (LOW_80, HIGH_80):
        edge = np.concatenate([[window.y_cutoff], window.walk[:, quantile]])
        axes.plot(steps, edge, color=GREY, linewidth=1.5, linestyle=DASHES)
    axes.plot(steps, np.concatenate([[window.y_cutoff], window.y]), color=BLUE, linewidth=2)
    prices = (window.y, window.quantiles.ravel(), window.walk[:, [LOW_80, HIGH_80]].ravel())
    frame(axes, (0, len(ds) - 1), np.concatenate(prices))
    axes.set_xticks(*mark_times(ds, daily=window.daily, at_most=5))
    median = window.quantiles[-1, MEDIAN]
    label_ends(axes, [(window.y[-1], "actual", BLUE), (median, "median", RED)])
    write(axes, (_LEFT, 0.905), 13, [(window.title, INK, "bold")])
    write(axes, (_LEFT, 0.84), 10, [(window.result, MUTED, "normal")])
    return to_png(figure)


def _figure(pixels: tuple[int, int]) -> Figure:
    return Figure(figsize=(pixels[0] / DPI, pixels[1] / DPI), dpi=DPI, facecolor="white")


def _color(candidate: str) -> str:
    return _COLORS.get(candidate, RED)


def _draw_by_step(axes: Axes, values: pd.Series, unit: str, aim: float | None = None) -> None:
    """Draw one line for each candidate; `values` are by candidate and step."""
    wide = {str(name): own.to_numpy() for name, own in values.groupby("candidate", sort=False)}
    steps = np.unique(values.index.get_level_values("h"))
    if aim is not None:
        axes.axhline(aim, color=GREY, linewidth=1.5, linestyle=DASHES)
    for name, line in wide.items():
        axes.plot(steps, line, color=_color(name), linewidth=2, marker="o" if len(steps) == 1 else "")
    known = np.concatenate([*wide.values(), [] if aim is None else [aim]])
    frame(axes, (steps[0], max(steps[-1], steps[0] + 1)), known, unit)
    mark_steps(axes)
    label_ends(axes, [(line[-1], name, _color(name)) for name, line in wide.items()])
