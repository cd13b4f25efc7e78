"""The training process: `python -P -m forecasting.models.training_process FOLDER`.

`train_network` starts it. The process reads its request from the folder and writes the network there. Its
standard output is progress, as JSON lines. It ends when its standard input closes, so that it does not
outlive a parent that is killed.
"""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from forecasting.child_process import end_with_parent
from forecasting.digests import digest_arrays
from forecasting.errors import NightcastError
from forecasting.models.presets import preset_of
from forecasting.models.training import BARS, NETWORK, REFUSED, REQUEST, RESULT
from forecasting.models.windows import build_windows
from forecasting.panel import Panel
from forecasting.prices.bars import Bars

if TYPE_CHECKING:
    from forecasting.models.fitting import Fit


def main() -> None:
    """Run the training that the folder requests."""
    end_with_parent()
    # Keep standard output for progress: libraries may print as well.
    progress, sys.stdout = sys.stdout, sys.stderr
    try:
        _train(Path(sys.argv[1]), progress)
    except NightcastError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(REFUSED)


def _train(folder: Path, progress: TextIO) -> None:
    started = time.monotonic()
    request = json.loads((folder / REQUEST).read_text())
    panel = Panel.model_validate(request["panel"])
    end = np.datetime64(request["training_end"])
    with np.load(folder / BARS, allow_pickle=False) as arrays:
        bars = Bars(ids=tuple(request["ids"]), **arrays)
    windows = build_windows(panel, bars, panel.calendar)

    def on_progress(done: int, total: int, message: str) -> None:
        print(json.dumps({"done": done, "total": total, "message": message}), file=progress, flush=True)

    network, state, fit = preset_of(panel).module.train(windows, end, panel, on_progress)
    network.save(folder / NETWORK)
    result = {
        "state": state,
        "history": {"step": fit.step, "loss": fit.loss, "val_loss": fit.validation_loss},
        "facts": {
            **_facts(network, fit),
            "training_windows": len(windows.before(end)),
            "seconds": round(time.monotonic() - started, 3),
        },
    }
    (folder / RESULT).write_text(json.dumps(result))


def _facts(network: Any, fit: "Fit") -> dict[str, Any]:
    return {
        "best_step": fit.best_step,
        "validation_loss": fit.best_validation_loss,
        "start_validation_loss": fit.start_validation_loss,
        "weights_digest": digest_arrays(*network.get_weights()),
    }


if __name__ == "__main__":
    main()
