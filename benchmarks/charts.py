"""The picture of a series: ours, and the same picture by matplotlib's figures and axes.

Both draw charts of different series, alternating. Prints the processor time of each, and what many charts
take in parallel processes.
"""

import time
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forecasting.as_of import to_datetime
from forecasting.formats import format_change, format_date, format_price
from forecasting.quantiles import HIGH_80, LOW_80, MEDIAN
from forecasting.reports.charts import RECENT_BARS, SeriesChart, draw_series
from forecasting.reports.colors import BANDS, BLUE, GREY, HAIRLINE, INK, MUTED, RED
from forecasting.reports.drawing import to_png
from forecasting.reports.drawing_processes import draw_charts
from forecasting.reports.time_axis import mark_times
from tests.series_charts import series_chart

ROUNDS = 30
MANY = 400  # charts drawn in parallel processes


def main() -> None:
    """Run the benchmark."""
    ways = {"matplotlib": by_matplotlib, "ours": draw_series}
    took: dict[str, list[float]] = {name: [] for name in ways}
    size = {name: len(way(_chart(0))) for name, way in ways.items()}
    for number in range(1, ROUNDS + 1):
        chart = _chart(number)
        for name, way in ways.items():
            start = time.process_time()
            way(chart)
            took[name].append(1000 * (time.process_time() - start))
    typical = {name: float(np.median(times)) for name, times in took.items()}
    for name, milliseconds in typical.items():
        print(
            f"{name:12}{milliseconds:7.1f} ms of processor time a chart, {size[name] / 1000:5.1f} KB, "
            f"{typical['matplotlib'] / milliseconds:5.1f} times as fast as matplotlib"
        )
    start = time.perf_counter()
    for _ in draw_charts([_chart(number) for number in range(MANY)], lambda _, __: None):
        pass
    seconds = time.perf_counter() - start
    print(f"{MANY:,} charts, with all cores: {seconds:.1f} s, {1000 * seconds / MANY:.1f} ms a chart")


def _chart(number: int) -> SeriesChart:
    chart = series_chart(level=1.1 + number / 100)
    return replace(chart, unique_id=f"S{number:05}")


def by_matplotlib(chart: SeriesChart) -> bytes:
    """Draw the same picture as a script does that gets a figure and axes from matplotlib."""
    figure = Figure(figsize=(12, 5), dpi=100)
    recent = chart.y[-RECENT_BARS:]
    left = _axes(figure, (0.072, 0.165, 0.448, 0.575))
    _draw(left, recent, len(recent) - 1, chart.quantiles)
    _mark(left, np.concatenate([chart.ds[-RECENT_BARS:], chart.forecast_ds]), at_most=8)
    last = chart.quantiles[-1]
    low, median, high = (format_price(last[at], chart.price_size) for at in (LOW_80, MEDIAN, HIGH_80))
    for at, words in ((LOW_80, low), (MEDIAN, median), (HIGH_80, high)):
        _label(left, last[at], words, RED)
    price, change = (
        format_price(chart.y_cutoff, chart.price_size),
        format_change(last[MEDIAN], chart.y_cutoff),
    )
    until, since = (format_date(to_datetime(ds), daily=True) for ds in (chart.forecast_ds[-1], chart.cutoff))
    outlook = f"median {change} in {len(chart.forecast_ds)} bars, by {until}; 80% range {low} to {high}"
    figure.text(0.015, 0.89, chart.unique_id, fontsize=24, fontweight="bold", color=INK)
    figure.text(0.16, 0.89, price, fontsize=24, fontweight="bold", color=BLUE)
    figure.text(0.28, 0.89, "→", fontsize=24, color=MUTED)
    figure.text(0.31, 0.89, median, fontsize=24, fontweight="bold", color=RED)
    figure.text(0.015, 0.807, outlook, fontsize=11.5, color=INK)
    legend = (
        f"blue: {chart.price_label}, to {since}.  red: {chart.model}, median with 60, 80 and 90% intervals"
    )
    figure.text(0.015, 0.03, legend, fontsize=10, color=MUTED)
    _draw_past(figure, chart)
    return to_png(figure)


def _draw_past(figure: Figure, chart: SeriesChart) -> None:
    past = chart.comparison
    assert past is not None
    horizon = len(past.ds)
    before = slice(-horizon - 1 - horizon // 2, -horizon - 1)
    right = _axes(figure, (0.685, 0.165, 0.207, 0.575))
    y = np.concatenate([chart.y[before], [past.y_cutoff], past.y])
    then = len(y) - horizon - 1
    right.plot([then, len(y) - 1], [past.y_cutoff] * 2, color=GREY, linewidth=1.8, linestyle="--", zorder=3)
    _draw(right, y, then, past.quantiles)
    _mark(right, np.concatenate([chart.ds[before], [past.cutoff], past.ds]), at_most=5)
    for value, words, color in (
        (y[-1], "actual", BLUE),
        (past.quantiles[-1][MEDIAN], "median", RED),
        (past.y_cutoff, "random walk", GREY),
    ):
        _label(right, value, words, color)
    made_on = format_date(to_datetime(past.cutoff), daily=True)
    figure.text(0.63, 0.9, f"Forecast of {made_on}", fontsize=15, fontweight="bold", color=INK)
    figure.text(0.63, 0.853, past.origin, fontsize=10, color=MUTED)
    figure.text(0.63, 0.807, f"skill {past.skill:+.1%} against the random walk", fontsize=10, color=MUTED)
    figure.text(0.63, 0.03, f"panel {chart.panel}", fontsize=10, color=MUTED)


def _axes(figure: Figure, place: tuple[float, float, float, float]) -> Axes:
    axes = figure.add_axes(place)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.tick_params(labelsize=10, labelcolor=MUTED, length=0)
    axes.grid(visible=True, axis="y", color=HAIRLINE)
    axes.set_axisbelow(True)
    return axes


def _draw(axes: Axes, y: np.ndarray, start: int, quantiles: np.ndarray) -> None:
    fan = np.vstack([np.full(quantiles.shape[1], y[start]), quantiles])
    x = np.arange(start, start + len(fan))
    for low, high, tint in BANDS:
        axes.fill_between(x, fan[:, low], fan[:, high], color=tint, linewidth=0)
    axes.plot(x, fan[:, MEDIAN], color=RED, linewidth=2.4)
    axes.plot(y, color=BLUE, linewidth=2)
    axes.plot(start, y[start], "o", color=BLUE, markersize=6)


def _mark(axes: Axes, ds: np.ndarray, at_most: int) -> None:
    axes.set_xlim(0, len(ds) - 1)
    axes.set_xticks(*mark_times(ds, daily=True, at_most=at_most))


def _label(axes: Axes, value: float, words: str, color: str) -> None:
    axes.annotate(
        words,
        (1, value),
        (6, 0),
        axes.get_yaxis_transform(),
        "offset points",
        color=color,
        fontsize=11,
        fontweight="bold",
        verticalalignment="center",
    )


if __name__ == "__main__":
    main()
