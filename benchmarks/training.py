"""Training speed of both networks, in windows per second, against plain Keras `fit`."""

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Any

import numpy as np

from benchmarks._ecb import BATCH, HISTORY, HORIZON, STEP, ecb_bars, ecb_panel
from forecasting.models.presets import preset_of
from forecasting.models.windows import build_windows

REPEATS = 3
STEPS = 60
# The default network trains from scratch where the package ships none of its sizes.
CONTEXTS = {"lecture": HISTORY // STEP, "default": HISTORY // STEP + 6}
END = np.datetime64("2025-10-30", "us")


@cache
def keras_fit() -> Callable[[], float]:
    """Run the lecture's code: plain Keras `fit` on in-memory arrays, in a process without our settings."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras  # noqa: PLC0415 - only after the process has its settings

    network = keras.Sequential(
        [
            keras.layers.Input((HISTORY // STEP, 1)),
            keras.layers.LSTM(32, return_sequences=True),
            keras.layers.LSTM(16, activation="relu"),
            keras.layers.Dense(HORIZON),
        ]
    )
    network.compile(optimizer=keras.optimizers.RMSprop(clipvalue=1.0), loss="mae")
    rng = np.random.default_rng(0)
    contexts = rng.normal(size=(STEPS * BATCH, HISTORY // STEP, 1)).astype(np.float32)
    targets = rng.normal(size=(STEPS * BATCH, HORIZON)).astype(np.float32)
    network.fit(contexts[: 2 * BATCH], targets[: 2 * BATCH], batch_size=BATCH, verbose=0)

    def repeat() -> float:
        start = time.perf_counter()
        network.fit(contexts, targets, batch_size=BATCH, verbose=0)
        return STEPS * BATCH / (time.perf_counter() - start)

    return repeat


@cache
def ours(preset: str) -> Callable[[], float]:
    """Run our training on the windows of the bundled panel, including the gathering."""
    panel = ecb_panel(preset=preset, context=CONTEXTS[preset], training_steps=STEPS, batch_size=BATCH)
    module = preset_of(panel).module
    windows = build_windows(panel, ecb_bars(panel), panel.calendar)

    def repeat() -> float:
        clock: list[tuple[int, float]] = []
        module.train(windows, END, panel, lambda done, *_: clock.append((done, time.perf_counter())))
        # Leave out the time before the first report (compilation) and before the last one (validation).
        (first, begin), (last, end) = clock[0], clock[-2]
        return (last - first) * BATCH / (end - begin)

    return repeat


def measure(make: Callable[..., Callable[[], float]], *which: str) -> float:
    """Measure windows per second once."""
    return make(*which)()


def main() -> None:
    """Measure the three in turn, and print the median windows per second of each."""
    spawn: Any = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as theirs, ProcessPoolExecutor(1, spawn) as mine:
        rounds = [
            (
                theirs.submit(measure, keras_fit).result(),
                mine.submit(measure, ours, "lecture").result(),
                mine.submit(measure, ours, "default").result(),
            )
            for _ in range(REPEATS)
        ]
    fit, lecture, default = np.median(rounds, axis=0)
    print(f"Keras fit out of the box, the lecture's network {fit:9,.0f} windows/s")
    print(f"ours, the lecture's network                     {lecture:9,.0f} windows/s")
    print(f"ours, the default network from scratch          {default:9,.0f} windows/s")
    print(f"the lecture's network, ours / Keras fit         {lecture / fit:9.2f} x   (target: 1 x)")
    print(f"the default network / Keras fit of the lecture  {default / fit:9.2f} x   (target: 2 x)")


if __name__ == "__main__":
    main()
