"""From bars to forecasts for 10,000 series x 750 bars: time and memory of each part, in a process each."""

import json
import sys
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks._prices import FIRST_DAY, closes, daily_panel, measured, run_part
from forecasting.models.baselines import EwmaWalk, RandomWalk
from forecasting.models.fitting import Split
from forecasting.models.forecaster import Forecaster
from forecasting.models.training import load_network, train_network
from forecasting.models.windows import Windows, build_windows
from forecasting.prices.bars import Bars
from forecasting.progress import silent
from forecasting.selection.gate import judge, training_end

MODULE = "benchmarks.big_panel"
BARS, NETWORK, STATE = "bars.npz", "network.keras", "state.json"
DAY = np.timedelta64(1, "D")
SERIES, COUNT = 10_000, 750
PARTS = (
    "train",
    "nothing",
    "windows",
    "ewma_walk fit",
    "split",
    "gate",
    "network forecasts all",
    "ewma_walk forecasts all",
    "random_walk forecasts all",
)


class Case:
    """A panel with its bars, windows and network, which are created when first used and kept in a folder."""

    def __init__(self, folder: str, series: int, bars: int) -> None:
        self._folder, self._shape = Path(folder), (series, bars)
        self.panel = daily_panel("nowhere.csv")
        self.end = training_end(self.panel.calendar, FIRST_DAY + (bars - 1) * DAY, self.panel.retrain.holdout)

    def write(self) -> None:
        """Write the bars to the folder."""
        bars = Bars.from_table(closes(*self._shape), "close")
        np.savez(self._folder / BARS, ids=np.array(bars.ids), offsets=bars.offsets, ds=bars.ds, y=bars.y)

    @cached_property
    def bars(self) -> Bars:
        """The bars in the folder."""
        with np.load(self._folder / BARS) as arrays:
            return Bars(
                ids=tuple(arrays["ids"].tolist()), **{key: arrays[key] for key in ("offsets", "ds", "y")}
            )

    @cached_property
    def windows(self) -> Windows:
        """The windows of the bars."""
        return build_windows(self.panel, self.bars, self.panel.calendar)

    @cached_property
    def network(self) -> Forecaster:
        """The trained network, compiled."""
        state = json.loads((self._folder / STATE).read_text())
        network = load_network(self.panel, (self._folder / NETWORK).read_bytes(), state)
        network.predict(self.windows, self.bars.last[:1])
        return network

    def train(self) -> None:
        """Train as the nightly run does, and write the network to the folder."""
        trained = train_network(self.panel, self.bars, self.end, silent)
        (self._folder / NETWORK).write_bytes(trained.model_bytes)
        (self._folder / STATE).write_text(json.dumps(trained.state))

    def work(self, part: str) -> Callable[[], object]:
        """Run one part; its inputs exist already."""
        if part in ("write", "train", "nothing"):
            return {"write": self.write, "train": self.train, "nothing": lambda: None}[part]
        bars = self.bars
        if part == "windows":
            return lambda: build_windows(self.panel, bars, self.panel.calendar)
        windows = self.windows
        if part.endswith("forecasts all"):
            forecaster = {
                "network": lambda: self.network,
                "ewma_walk": lambda: EwmaWalk.fit(windows, self.end),
                "random_walk": RandomWalk,
            }[part.split(maxsplit=1)[0]]()
            return lambda: forecaster.predict(windows, bars.last)
        if part == "gate":
            network = self.network
            return lambda: judge(self.panel, network, windows, self.end)
        fitted = {
            "ewma_walk fit": EwmaWalk.fit,
            "split": Split.of,
        }
        return lambda: fitted[part](windows, self.end)


def report(series: int, bars: int) -> None:
    """Print the time of each part relative to training."""
    print(f"{series:,} series x {bars:,} bars")
    with tempfile.TemporaryDirectory() as folder:
        measured(MODULE, "write", folder, series, bars)
        found = {part: measured(MODULE, part, folder, series, bars) for part in PARTS}
    training, _ = found["train"]
    for part, (seconds, megabytes) in found.items():
        print(f"  {part:27}{seconds:7.2f} s {seconds / training:6.2f} x training   peak {megabytes:6,.0f} MB")


def main() -> None:
    """Run the benchmark."""
    report(SERIES, COUNT)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        part, folder, *shape = sys.argv[1:]
        run_part(Case(folder, *map(int, shape)).work(part))
