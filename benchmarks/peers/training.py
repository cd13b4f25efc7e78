"""Training from random weights, and forecasting: our networks against PyTorch's and neuralforecast's LSTM.

The windows are those of the bundled panel's live series. All sides train on the windows that end before the
latest 15% begin, and are judged on 4,096 of those, spread over series and time: mean pinball loss of eleven
quantiles, in scales. Each side runs in a process of its own.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.peers.usage import ONE_THREAD, PEERS, Usage, load, run

OWN = [sys.executable, "-m", "benchmarks.peers.own_lstm"]
TORCH, NEURAL = ([PEERS, "-m", f"benchmarks.peers.{name}_lstm"] for name in ("torch", "neural"))
SCRATCH, SHIPPED = (OWN, "scratch"), (OWN, "shipped")
# Program, and the words after the folder: patch, batch and steps; or batch and steps.
SIDES: Sequence[tuple[Any, ...]] = (
    SCRATCH,
    (TORCH, 5, 256, 400),
    (TORCH, 5, 256, 2000),
    SHIPPED,
    (TORCH, 5, 1024, 400),
    (TORCH, 1, 256, 400),
    SCRATCH,
    (NEURAL, 256, 250),
    (NEURAL, 256, 1000),
)


def write_windows(folder: Path) -> None:
    """Write the windows that all sides use, in a process of its own: this one stays small."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        print(pool.submit(_write_windows, folder).result())


def _write_windows(folder: Path) -> str:
    import numpy as np  # noqa: PLC0415 - in a process of its own

    from benchmarks.peers.own_lstm import live_bars, scratch_panel  # noqa: PLC0415 - as above
    from benchmarks.peers.window_file import WindowFile  # noqa: PLC0415 - as above
    from forecasting.models.fitting import MAX_VALIDATION, Split, spread  # noqa: PLC0415 - as above
    from forecasting.models.windows import build_windows  # noqa: PLC0415 - as above

    panel = scratch_panel()
    windows = build_windows(panel, live_bars(panel), panel.calendar)
    bars = windows.bars
    split = Split.of(windows, bars.ds.max())
    changes = np.abs(np.diff(windows.level, prepend=0.0))
    known = (windows.run >= 1) & (bars.ds < split.begin)
    usual = np.bincount(bars.series[known], changes[known]) / np.bincount(bars.series[known])
    weights = np.clip(windows.scale / (np.sqrt(np.pi / 2) * usual[bars.series]), 1 / 2, 2)
    WindowFile(
        features=windows.features,
        level=windows.level,
        scale=windows.scale,
        weights=weights.astype(np.float32),
        ds=bars.ds,
        ids=np.array(bars.ids)[bars.series],
        training=split.training,
        held_out=spread(split.validation, MAX_VALIDATION),
    ).write(folder)
    return (
        f"{len(bars.ids)} series; {len(split.training):,} windows to train on before "
        f"{np.datetime_as_string(split.begin, 'D')}; judged on {min(len(split.validation), MAX_VALIDATION):,}"
    )


def measure(sides: Sequence[tuple[Any, ...]], folder: Path) -> Iterator[tuple[dict[str, Any], Usage]]:
    """Run the sides one after the other: yield what each printed, and what its process took."""
    for program, *words in sides:
        log = folder / "side.log"
        used = run([*program, folder, *words], log, ONE_THREAD)
        yield json.loads(log.read_text().splitlines()[-1]), used


def time_to(course: Sequence[Sequence[float]], loss: float) -> tuple[float, float] | None:
    """Wall and processor seconds until a training is first at least as good; None if it never is."""
    return next(((wall, processor) for _, wall, processor, found in course if found <= loss), None)


def describe(side: dict[str, Any], used: Usage) -> str:
    """One line of the table."""
    _, wall, processor, loss = side["course"][-1]
    train = f"{side['pace'][0]:9,.0f} ({side['pace'][1]:7,.0f})" if side["pace"] else f"{'':19}"
    predict = f"{side['forecast'][0]:10,.0f} ({side['forecast'][1]:9,.0f})"
    best = min(found for *_, found in side["course"])
    return (
        f"{side['name']:52}{train}{predict}{wall:8.1f} ({processor:6.1f})"
        f"{side.get('kept', loss):9.4f}{best:9.4f}{used.processor_seconds:8.1f}{used.megabytes:7,.0f}"
    )


def compare(found: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The time of our training from scratch to each peer's final loss, relative to the peer's own."""
    own = [side for side in found if "scratch" in side["name"]]
    for peer in (side for side in found if "nightcast" not in side["name"]):
        _, wall, processor, loss = peer["course"][-1]
        for side in own:
            reached = time_to(side["course"], loss)
            if reached is None:
                yield f"{peer['name']}: {loss:.4f} after {processor:.1f} processor s; ours never"
                continue
            yield (
                f"{peer['name']}: {loss:.4f} after {wall:.1f} s, {processor:.1f} processor s; "
                f"ours after {reached[0]:.1f} s, {reached[1]:.1f} processor s: "
                f"{reached[0] / wall:.2f} and {reached[1] / processor:.2f} times that (target: 0.20)"
            )


def main() -> None:
    """Print the table, then the times to the peers' losses."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", type=Path, help="a file for all that the sides print")
    parser.add_argument("--only", default="", help="only the sides whose program and words contain this")
    given = parser.parse_args()
    keep, sides = given.keep, [side for side in SIDES if given.only in " ".join(map(str, side))]
    print(load())
    found = []
    with tempfile.TemporaryDirectory() as name:
        write_windows(Path(name))
        print("windows a second (a processor second in brackets) to train, to forecast; seconds of training;")
        print("loss at the end, best loss; processor seconds and peak MB of the whole process")
        for side, used in measure(sides, Path(name)):
            found.append(side)
            print(describe(side, used), flush=True)
    print("\n".join(compare(found)))
    if keep:
        keep.write_text(json.dumps(found))
    print(load())


if __name__ == "__main__":
    main()
