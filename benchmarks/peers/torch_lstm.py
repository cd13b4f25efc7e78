"""PyTorch's LSTM on the same windows: `python -m benchmarks.peers.torch_lstm FOLDER PATCH BATCH STEPS`.

Two `nn.LSTM` layers of the same sizes, and a linear layer to 72 x 11 quantiles, which grow with the square
root of the step. PATCH bars are one step of the first layer; with 1 it sees bar after bar. AdamW, a rate that
falls from 1e-3 along a cosine, gradients clipped at 1. For the interpreter of `make bench-peers`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from benchmarks.peers.window_file import CONTEXT, HORIZON, LOOK, UNITS, Watch, WindowFile, now
from forecasting.quantiles import LEVELS

RATE, DECAY = 1e-3, 1e-3
STRETCH = 10  # steps of which the pace is measured
FORECAST_BATCH = 1024


class Network(torch.nn.Module):  # type: ignore[misc]  # the checker has no PyTorch
    """From contexts (B, CONTEXT, F) to quantiles (B, HORIZON, 11), in scales."""

    def __init__(self, features: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.first = torch.nn.LSTM(patch * features, UNITS[0], batch_first=True)
        self.second = torch.nn.LSTM(*UNITS, batch_first=True)
        self.out = torch.nn.Linear(UNITS[1], HORIZON * len(LEVELS))
        self.register_buffer("root", torch.arange(1, HORIZON + 1).sqrt()[:, None])

    def forward(self, contexts: torch.Tensor) -> torch.Tensor:
        """Forecast."""
        steps = contexts.reshape(len(contexts), CONTEXT // self.patch, -1)
        state = self.second(self.first(steps)[0])[0][:, -1]
        return self.out(state).reshape(-1, HORIZON, len(LEVELS)) * self.root


def forecast(network: Network, windows: WindowFile) -> np.ndarray:
    """(W, HORIZON, 11) quantiles of the windows held out."""
    with torch.no_grad():
        parts = [
            network(torch.from_numpy(windows.contexts(some)))
            for some in np.array_split(windows.held_out, -(-len(windows.held_out) // FORECAST_BATCH))
        ]
    return torch.cat(parts).numpy()


def train(windows: WindowFile, patch: int, batch: int, steps: int) -> tuple[Network, Watch]:
    """Train from random weights."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    watch = Watch()
    network = Network(windows.features.shape[1], patch)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    levels = torch.tensor(LEVELS, dtype=torch.float32)
    began = now()
    for step in range(1, steps + 1):
        some = rng.choice(windows.training, batch)
        error = torch.from_numpy(windows.targets(some))[..., None] - network(
            torch.from_numpy(windows.contexts(some))
        )
        losses = 2 * torch.maximum(levels * error, (levels - 1) * error)
        loss = (losses.mean(dim=(1, 2)) * torch.from_numpy(windows.weights[some])).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % STRETCH == 0:
            watch.pace(STRETCH * batch, began)
        if step % LOOK == 0 or step == steps:
            asked = now()
            watch.look(step, windows.loss(forecast(network, windows)), asked)
        if step % STRETCH == 0:
            began = now()
    return network, watch


def main() -> None:
    """Train, forecast, and print what it took as JSON."""
    folder, patch, batch, steps = sys.argv[1], *map(int, sys.argv[2:])
    windows = WindowFile.read(Path(folder))
    started = now()
    network, watch = train(windows, patch, batch, steps)
    began = now()
    forecast(network, windows)
    spent = np.subtract(now(), began)
    name = f"PyTorch nn.LSTM, {CONTEXT // patch} steps, batch {batch}, {steps} steps"
    print(json.dumps(watch.result(name, start=started[1], forecast=(len(windows.held_out) / spent).tolist())))


if __name__ == "__main__":
    main()
