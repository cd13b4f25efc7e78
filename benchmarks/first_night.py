"""The first training of the bundled panel: from bars to a stored model, pretrained against from scratch.

From scratch is a network of the same sizes with another context, which the package does not ship: a process
that imports TensorFlow and trains, as every first night did before there was a pretrained network.
"""

import time

import numpy as np

from benchmarks._ecb import ecb_bars, ecb_panel
from forecasting.models.training import train_network
from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.progress import silent

REPEATS = 2
SCRATCH: dict[str, object] = {}  # further settings of the network from scratch


def seconds(panel: Panel, bars: Bars, end: np.datetime64) -> float:
    """Wall time of one training."""
    start = time.perf_counter()
    train_network(panel, bars, end, silent)
    return time.perf_counter() - start


def main() -> None:
    """Print the seconds of both, and their ratio (target: a third)."""
    pretrained = ecb_panel()
    scratch = pretrained.model_copy(
        update={"model": pretrained.model.model_copy(update={"context": 115, **SCRATCH})}
    )
    bars = ecb_bars(pretrained)
    end = np.unique(bars.ds)[-252]
    own = min(seconds(pretrained, bars, end) for _ in range(REPEATS))
    other = min(seconds(scratch, bars, end) for _ in range(REPEATS))
    print(f"{'pretrained network':24}{own:6.2f} s")
    print(f"{'from scratch':24}{other:6.2f} s; pretrained takes {own / other:.2f} times that (target: 0.33)")


if __name__ == "__main__":
    main()
