"""Feeding windows: ours against the lecture's Python loop, and how much memory their index takes."""

import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from forecasting.bars import Bars
from forecasting.panel import Panel
from forecasting.prices.sources import read_source
from forecasting.windows import Windows, build_windows

HISTORY, STEP, HORIZON = 720, 6, 72
BATCH = 256
BATCHES = 40
REPEATS = 5


def ecb_panel(**model: object) -> Panel:
    """The bundled panel, with these settings of its model."""
    panel = Panel.load("ecb_fx")
    return Panel.model_validate(panel.model_dump(exclude={"model"}) | {"model": model})


def ecb_bars(panel: Panel) -> Bars:
    """The bars of the bundled file, as it is."""
    return Bars.from_table(pa.concat_tables(read_source(panel)), "close")


def lecture_loop(series: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lecture's `multivariate_data`: one window at a time, appended to a list."""
    data, labels = [], []
    for i in starts:
        indices = range(i - HISTORY, i, STEP)
        data.append(series[indices])
        labels.append(series[i : i + HORIZON])
    return np.array(data), np.array(labels)


def feed(windows: Windows, origins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A batch, as training takes it."""
    return windows.contexts(origins), windows.targets(origins)


def windows_per_second(work: Callable[[np.ndarray], object], batches: np.ndarray) -> float:
    """Of `work` on every batch."""
    start = time.perf_counter()
    for batch in batches:
        work(batch)
    return batches.size / (time.perf_counter() - start)


def speed(windows: Windows) -> None:
    """Print windows a second of both, alternating, each the median of its repeats."""
    origins = np.flatnonzero(windows.has_context & windows.has_target)
    batches = np.random.default_rng(0).choice(origins, (BATCHES, BATCH))
    level = windows.level[:, None]
    loop, ours = np.median(
        [
            (
                windows_per_second(lambda batch: lecture_loop(level, batch + 1), batches),
                windows_per_second(lambda batch: feed(windows, batch), batches),
            )
            for _ in range(REPEATS)
        ],
        axis=0,
    )
    print(f"the lecture's loop, 1 feature    {loop:11,.0f} windows/s")
    print(f"ours, {windows.features.shape[1]} features, scaled       {ours:11,.0f} windows/s")
    print(f"ours / the lecture's loop        {ours / loop:11.1f} x   (target: 20 x)")


def memory(panel: Panel, bars: Bars) -> None:
    """Print the peak memory of building the windows of a part of the bars and of all, per bar."""
    for share in (0.25, 0.5, 1.0):
        some = bars.select(list(bars.ids[: round(share * len(bars.ids))]))
        tracemalloc.start()
        windows = build_windows(panel, some, panel.calendar)
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        count = int((windows.has_context & windows.has_target).sum())
        values = panel.model.context * windows.features.shape[1] + panel.forecast.horizon
        copied = 4 * values * count
        print(
            f"{len(some):9,} bars: held {held / 1e6:6.1f} MB, peak {peak / 1e6:6.1f} MB "
            f"({peak / len(some):4.0f} bytes a bar); {count:,} windows copied would be {copied / 1e6:7,.0f} MB, "
            f"{copied / peak:4.0f} x"
        )


def main() -> None:
    """Print both."""
    panel = ecb_panel(context=HISTORY // STEP, sampling_step=STEP)
    bars = ecb_bars(panel)
    speed(build_windows(panel, bars, panel.calendar))
    memory(ecb_panel(), bars)


if __name__ == "__main__":
    main()
