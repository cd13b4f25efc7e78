"""Windows a second of the simulation with its inputs, and of the pretraining that runs beside it."""

import time

import numpy as np

from forecasting.models.pretraining import Recipe, pretrain
from forecasting.models.simulation.samples import KINDS

REPEATS = 3
ROUNDS = 3


def simulate() -> float:
    """Simulate one round in one thread; windows a second."""
    start = time.perf_counter()
    windows = sum(len(Recipe().sample(0, kind)) for kind in KINDS)
    return windows / (time.perf_counter() - start)


def train() -> float:
    """Pretrain for some rounds, from the end of the first to the end of the last; windows a second."""
    ends: list[float] = []
    pretrain(Recipe(rounds=ROUNDS), lambda *_: ends.append(time.perf_counter()))
    windows = sum(len(Recipe().sample(0, kind, series=10)) for kind in KINDS) * Recipe().series / 10
    return (ROUNDS - 1) * windows / (ends[-1] - ends[0])


def main() -> None:
    """Measure both in turn, and print the medians."""
    simulated, trained = np.median([(simulate(), train()) for _ in range(REPEATS)], axis=0)
    print(f"simulated with inputs {simulated:8,.0f} windows/s: a million in {1e6 / simulated:4.0f} s")
    print(f"pretrained meanwhile  {trained:8,.0f} windows/s, {trained / simulated:.2f} times that")
    print("(target: a million simulated in 300 s on two cores)")


if __name__ == "__main__":
    main()
