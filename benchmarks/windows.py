"""Gathering of windows, against the lecture's Python loop; and the memory of their index."""

import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from benchmarks._ecb import BATCH, HISTORY, HORIZON, STEP, ecb_bars, ecb_panel
from forecasting.models.lecture_lstm import Standardiser, StandardWindows
from forecasting.models.windows import build_windows
from forecasting.panel import Panel
from forecasting.prices.bars import Bars

BATCHES = 40
REPEATS = 5


def lecture_loop(series: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lecture's `multivariate_data`: it appends one window at a time to a list."""
    data, labels = [], []
    for i in starts:
        indices = range(i - HISTORY, i, STEP)
        data.append(series[indices])
        labels.append(series[i : i + HORIZON])
    return np.array(data), np.array(labels)


def speed(panel: Panel, bars: Bars) -> None:
    """Measure in turn, and print the median windows per second of each."""
    windows = build_windows(panel, bars, panel.calendar)
    default = build_windows(ecb_panel(), bars, panel.calendar)
    standard = StandardWindows(windows, Standardiser.of(windows, bars.ds.max()))
    level = windows.level.astype(np.float32)[:, None]
    ways: dict[str, Callable[[np.ndarray], object]] = {
        "the lecture's loop, its windows": lambda batch: lecture_loop(level, batch + 1),
        "ours, the same windows": lambda batch: (standard.contexts(batch), standard.targets(batch)),
        "ours, the default network's": lambda batch: (default.contexts(batch), default.targets(batch)),
    }
    origins = np.flatnonzero(windows.has_context & windows.has_target)
    batches = np.random.default_rng(0).choice(origins, (BATCHES, BATCH))
    repeats = [[_windows_per_second(way, batches) for way in ways.values()] for _ in range(REPEATS)]
    loop, *rest = np.median(repeats, axis=0)
    for name, rate in zip(ways, (loop, *rest), strict=True):
        print(f"{name:32}{rate:12,.0f} windows/s {rate / loop:6.1f} x the lecture's loop")
    print("(target for the same windows: 20 x)")


def memory(panel: Panel, bars: Bars) -> None:
    """Print the peak memory of building the windows of some and of all bars."""
    for share in (0.25, 0.5, 1.0):
        some = bars.select(list(bars.ids[: round(share * len(bars.ids))]))
        tracemalloc.start()
        windows = build_windows(panel, some, panel.calendar)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        count = np.count_nonzero(windows.has_context & windows.has_target)
        copied = 4 * count * (panel.model.context * windows.features.shape[1] + panel.forecast.horizon)
        print(
            f"{len(some):8,} bars: peak {peak / 1e6:5.1f} MB, {peak / len(some):4.0f} bytes a bar; all "
            f"{count:,} windows copied out: {copied / 1e6:5,.0f} MB, {copied / peak:4.1f} x"
        )


def _windows_per_second(way: Callable[[np.ndarray], object], batches: np.ndarray) -> float:
    start = time.perf_counter()
    for batch in batches:
        way(batch)
    return batches.size / (time.perf_counter() - start)


def main() -> None:
    """Run both benchmarks."""
    lecture = ecb_panel(preset="lecture")
    bars = ecb_bars(lecture)
    speed(lecture, bars)
    memory(ecb_panel(), bars)


if __name__ == "__main__":
    main()
