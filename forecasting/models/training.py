"""Training a network in a separate process, and loading trained networks.

A separate process keeps the memory of a training out of the run. It is killed when it takes too long, and
ends when its parent ends. This module imports TensorFlow only when a network is loaded.
"""

import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forecasting.child_process import SAFE_PATH
from forecasting.digests import digest_record
from forecasting.errors import ModelError
from forecasting.models.forecaster import Forecaster
from forecasting.models.network import Network
from forecasting.models.presets import preset_of
from forecasting.models.pretrained_lstm import PanelFit, PretrainedLstm
from forecasting.models.shipped import shipped_bytes, shipped_network
from forecasting.models.training_places import training_place
from forecasting.models.windows import build_windows
from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.progress import Progress
from forecasting.temporary_folders import temporary_folder

# Files that parent and child exchange in a folder.
REQUEST = "request.json"
BARS = "bars.npz"
NETWORK = "model.keras"
RESULT = "result.json"
_ERRORS = "errors.txt"
# Exit code of a child that failed with a `NightcastError`, whose message is the last line of its error
# output.
REFUSED = 3

# What Keras raises for a damaged file, and for a file whose layers have changed since.
_UNREADABLE = (ValueError, TypeError, KeyError, OSError, NotImplementedError, zipfile.BadZipFile)


@dataclass(frozen=True)
class TrainedNetwork:
    """The result of a training.

    Attributes:
        model_bytes: the content of a `.keras` file.
        state: JSON-able; what `load_network` needs in addition to the file.
        history: `step`, `loss` and `val_loss`, each with one value per epoch.
        facts: JSON-able; `training_windows`, `seconds`, `best_step`, `validation_loss`,
            `start_validation_loss` (of the untrained network), `weights_digest`.
    """

    model_bytes: bytes
    state: dict[str, Any]
    history: dict[str, list[float]]
    facts: dict[str, Any]


def train_network(
    panel: Panel, bars: Bars, training_end: np.datetime64, on_progress: Progress
) -> TrainedNetwork:
    """Train the panel's network on the bars up to `training_end` only.

    With the settings of the network that the package ships, this fits what the panel adds to it: seconds, in
    this process, without TensorFlow. With other settings it trains a network from scratch in a new process,
    as soon as this machine has a place for it.

    Raises:
        ModelError: there are too few bars to train on, training takes longer than the panel allows, or the
            process dies.
    """
    if panel.model.is_pretrained:
        return _fit_pretrained(panel, bars.until(training_end), training_end, on_progress)
    with temporary_folder("training") as folder:
        _write_request(folder, panel, bars.until(training_end), training_end)
        with training_place(panel.name) as place:
            _run(folder, panel, on_progress, place)
        result = json.loads((folder / RESULT).read_text())
        return TrainedNetwork(model_bytes=(folder / NETWORK).read_bytes(), **result)


def load_network(panel: Panel, model_bytes: bytes, state: dict[str, Any]) -> Forecaster:
    """Load a trained network as a forecaster for `panel`.

    Raises:
        ModelError: the bytes are not a readable network, its state is damaged, or it does not fit the panel.
    """
    try:
        return _load(panel, model_bytes, state)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"the model of panel {panel.name} is damaged: it cannot be loaded with the state in its "
            f"metadata.json ({type(error).__name__}); run with --mode retrain"
        ) from error


def _load(panel: Panel, model_bytes: bytes, state: dict[str, Any]) -> Forecaster:
    if "fit" in state:
        return PretrainedLstm(Network.read(model_bytes), PanelFit.from_record(state["fit"]))
    preset = preset_of(panel)
    module = preset.module  # importing it registers the layers that the file names
    network = _read_network(panel, model_bytes)
    expected = (preset.model, preset.input_shape(panel), preset.output_shape(panel))
    found = (network.name, network.input_shape[1:], network.output_shape[1:])
    if found != expected:
        raise ModelError(
            f"the model of panel {panel.name} does not fit it: found {_describe(*found)}, "
            f"but the panel needs {_describe(*expected)}; run with --mode retrain"
        )
    return module.load(network, state)


def _fit_pretrained(
    panel: Panel, bars: Bars, training_end: np.datetime64, on_progress: Progress
) -> TrainedNetwork:
    """Fit what the panel's past adds to the shipped network."""
    started = time.monotonic()
    on_progress(0, 1, "pretrained network")
    network = shipped_network()
    fit = PanelFit.fit(network, build_windows(panel, bars, panel.calendar), training_end)
    state = {"fit": fit.to_record()}
    message = f"pretrained network, fitted on {fit.training_windows} windows, "
    message += f"weight of the regression {fit.regression_weight:.2f}"
    on_progress(1, 1, message)
    facts = {
        "training_windows": fit.training_windows,
        "seconds": round(time.monotonic() - started, 3),
        "regression_weight": fit.regression_weight,
        "weights_digest": digest_record({"network": network.digest, **state}),
    }
    return TrainedNetwork(shipped_bytes(), state, {}, facts)


def _write_request(folder: Path, panel: Panel, bars: Bars, training_end: np.datetime64) -> None:
    request = {"panel": panel.model_dump(mode="json"), "training_end": str(training_end), "ids": bars.ids}
    (folder / REQUEST).write_text(json.dumps(request))
    np.savez(folder / BARS, offsets=bars.offsets, ds=bars.ds, y=bars.y)


def _run(folder: Path, panel: Panel, on_progress: Progress, place: int) -> None:
    """Run the training process until it ends, and pass on its progress. It holds the place, too."""
    command = [sys.executable, SAFE_PATH, "-m", "forecasting.models.training_process", str(folder)]
    environment = {**os.environ, "TMPDIR": str(folder)}  # so that TensorFlow's files go with the folder
    limit = panel.retrain.time_limit_minutes
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.kill()

    with (
        (folder / _ERRORS).open("wb") as errors,
        # The child watches its standard input, which stays open and empty as long as this process lives.
        subprocess.Popen(  # noqa: S603
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            pass_fds=(place,),
        ) as process,
    ):
        timer = threading.Timer(60 * limit, stop)
        timer.start()
        try:
            for line in process.stdout or ():
                on_progress(**json.loads(line))
            process.wait()
        finally:
            timer.cancel()
            process.kill()
    if late.is_set():
        raise ModelError(
            f"training {panel.name} took longer than {limit:g} minutes and was stopped; raise "
            f"time_limit_minutes in [retrain] of the panel, or lower training_steps in [model]"
        )
    if process.returncode:
        raise ModelError(_failure(folder, panel, process.returncode))


def _failure(folder: Path, panel: Panel, code: int) -> str:
    lines = (folder / _ERRORS).read_text(errors="replace").strip().splitlines()
    last = lines[-1] if lines else "no error output"
    if code == REFUSED:
        return last
    return (
        f"training {panel.name} died with exit code {code}: {last}; "
        "check that the machine has enough memory, and run again"
    )


def _read_network(panel: Panel, model_bytes: bytes) -> Any:
    from forecasting.models.backend import keras  # noqa: PLC0415 - takes seconds to import

    with temporary_folder("model") as folder:
        path = folder / NETWORK
        path.write_bytes(model_bytes)
        try:
            return keras.saving.load_model(path, compile=False, safe_mode=True)
        except _UNREADABLE as error:
            raise ModelError(
                f"the model of panel {panel.name} cannot be read: it is damaged, or was written by another "
                f"version of Keras ({type(error).__name__}); run with --mode retrain"
            ) from error


def _describe(name: str, context: tuple[int, ...], output: tuple[int, ...]) -> str:
    if len(context) != 2 or not output:  # noqa: PLR2004 - another program's network, or the shipped one
        return f"{name} with inputs of shape {context}"
    return f"{name} from {context[0]} steps of {context[1]} features to {output[0]} steps ahead"
