"""neuralforecast's LSTM on the same bars: `python -m benchmarks.peers.neural_lstm FOLDER BATCH STEPS`.

It draws windows of the same length itself, from the logarithms of prices before the held-out windows begin,
and scales each one. Its layers have one size: the larger of ours. For the interpreter of `make bench-peers`.
"""

import json
import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MQLoss
from neuralforecast.models import LSTM

from benchmarks.peers.window_file import CONTEXT, HORIZON, UNITS, Watch, WindowFile, now
from forecasting.quantiles import LEVELS


def network(batch: int, steps: int) -> LSTM:
    """The library's LSTM with our sizes."""
    return LSTM(
        h=HORIZON,
        input_size=CONTEXT,
        encoder_n_layers=len(UNITS),
        encoder_hidden_size=UNITS[0],
        decoder_hidden_size=2 * UNITS[0],
        loss=MQLoss(quantiles=LEVELS.tolist()),
        max_steps=steps,
        windows_batch_size=batch,
        scaler_type="robust",
        alias="q",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
    )


def past(windows: WindowFile) -> pd.DataFrame:
    """The bars that a training may see, with the number of the bar in place of its date."""
    rows = np.flatnonzero(windows.ds < windows.ds[windows.held_out].min())
    frame = pd.DataFrame({"unique_id": windows.ids[rows], "y": windows.level[rows]})
    return frame.assign(ds=frame.groupby("unique_id").cumcount())


def contexts(windows: WindowFile) -> pd.DataFrame:
    """The context of each held-out window, as a series of its own."""
    rows = windows.held_out[:, None] + np.arange(1 - CONTEXT, 1)
    numbers = np.arange(len(rows)).repeat(CONTEXT)
    bars = np.tile(np.arange(CONTEXT), len(rows))
    return pd.DataFrame({"unique_id": numbers, "ds": bars, "y": windows.level[rows].ravel()})


def main() -> None:
    """Train, forecast, and print what it took as JSON."""
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    folder, batch, steps = sys.argv[1], *map(int, sys.argv[2:])
    windows = WindowFile.read(Path(folder))
    watch, started = Watch(), now()
    library = NeuralForecast(models=[network(batch, steps)], freq=1)
    library.fit(past(windows))
    asked = now()
    watch.pace(batch * steps, started)
    ahead = library.predict(contexts(windows)).sort_values(["unique_id", "ds"])
    spent = np.subtract(now(), asked)
    levels = ahead.drop(columns=["unique_id", "ds"]).to_numpy().reshape(-1, HORIZON, len(LEVELS))
    levels.sort(axis=2)  # they may cross
    changes = levels - windows.level[windows.held_out, None, None]
    watch.look(steps, windows.loss(changes / windows.scale[windows.held_out, None, None]), asked)
    name = f"neuralforecast LSTM, batch {batch}, {steps} steps"
    print(json.dumps(watch.result(name, start=started[1], forecast=(len(windows.held_out) / spent).tolist())))


if __name__ == "__main__":
    main()
