"""Forecasting 10,000 windows with the pretrained network as a whole process, imports included.

Ours runs the network in numpy. It is compared with Keras on the same file and, with `--torch PYTHON` (an
interpreter that has PyTorch), with `nn.LSTM` layers of the same sizes.
"""

import argparse
import subprocess
import sys
import time

WINDOWS, ROUNDS = 10_000, 3

OURS = f"""
import numpy as np
from forecasting.models.shipped import shipped_network
rng = np.random.default_rng(0)
network = shipped_network()
inputs = rng.normal(size=({WINDOWS}, network.inputs_at_origin)).astype(np.float32)
network(rng.normal(size=({WINDOWS}, 24, 10)).astype(np.float32), inputs)
"""
KERAS = f"""
import numpy as np
from forecasting.models.backend import keras
from forecasting.models.shipped import FOLDER, NETWORK
rng = np.random.default_rng(0)
model = keras.saving.load_model(FOLDER / NETWORK, compile=False)
inputs = rng.normal(size=({WINDOWS}, model.input_shape[1][1])).astype(np.float32)
model.predict([rng.normal(size=({WINDOWS}, 24, 10)).astype(np.float32), inputs], batch_size=256, verbose=0)
"""
TORCH = f"""
import numpy as np, torch
rng = np.random.default_rng(0)
first = torch.nn.LSTM(10, UNITS_1, batch_first=True)
second = torch.nn.LSTM(UNITS_1, UNITS_2, batch_first=True)
hidden, out = torch.nn.Linear(UNITS_2 + FEATURES, 64), torch.nn.Linear(64, 28)
steps = torch.tensor(rng.normal(size=({WINDOWS}, 24, 10)).astype(np.float32))
inputs = torch.tensor(rng.normal(size=({WINDOWS}, FEATURES)).astype(np.float32))
with torch.no_grad():
    for rows in torch.arange({WINDOWS}).split(1024):
        state = second(first(steps[rows])[0])[0][:, -1]
        out(torch.tanh(hidden(torch.cat([state, inputs[rows]], 1))))
"""


def seconds(python: str, code: str) -> float:
    """Wall time of a whole process, the best of a few."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run([python, "-c", code], check=True)  # noqa: S603 - code of this file
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print the seconds of each, and the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--torch", default="", help="a Python that has PyTorch")
    torch = parser.parse_args().torch
    ours = seconds(sys.executable, OURS)
    print(f"{'numpy (ours)':24}{ours:6.2f} s for {WINDOWS} windows, imports included")
    peers = {"Keras": (sys.executable, KERAS)}
    if torch:
        peers["PyTorch nn.LSTM"] = (torch, _torch_code())
    for name, (python, code) in peers.items():
        theirs = seconds(python, code)
        print(f"{name:24}{theirs:6.2f} s; ours takes {ours / theirs:.2f} times that")


def _torch_code() -> str:
    from forecasting.models.shipped import shipped_network  # noqa: PLC0415 - only for its sizes

    network = shipped_network()
    first, second = (len(layer[1]) for layer in network.lstm)
    sizes = {"UNITS_1": first, "UNITS_2": second, "FEATURES": network.inputs_at_origin}
    code = TORCH
    for name, size in sizes.items():
        code = code.replace(name, str(size))
    return code


if __name__ == "__main__":
    main()
