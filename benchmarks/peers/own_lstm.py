"""Our networks on the same windows: `python -m benchmarks.peers.own_lstm FOLDER scratch|shipped`.

From scratch is the network of the same sizes that trains on the panel alone; its LSTM has random weights, and
it starts at a volatility regression. Shipped is the pretrained network, with what the panel adds to it. Both
see only bars before the held-out windows begin.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._ecb import ecb_bars, ecb_panel
from benchmarks.peers.window_file import BATCH, CONTEXT, LOOK, UNITS, Watch, WindowFile, now
from forecasting.models.windows import Windows, build_windows
from forecasting.panel import Panel
from forecasting.prices.bars import Bars

STEPS = 400
STRETCH = 10  # steps between two reports of a training


def scratch_panel() -> Panel:
    """The bundled panel, with a context for which the package ships no network."""
    return ecb_panel(context=CONTEXT, units=list(UNITS), batch_size=BATCH, training_steps=STEPS)


def live_bars(panel: Panel) -> Bars:
    """The bars of the series that reach the newest date."""
    bars = ecb_bars(panel)
    return bars.select(
        [one for one, last in zip(bars.ids, bars.ds[bars.last], strict=True) if last == bars.ds.max()]
    )


def train_scratch(windows: Windows, end: np.datetime64, file: WindowFile) -> dict[str, object]:
    """Train from scratch, with looks at the loss on the held-out windows."""
    from forecasting.models import stacked_lstm  # noqa: PLC0415 - takes seconds to import
    from forecasting.models.fitting import fit, forward  # noqa: PLC0415 - as above

    watch = Watch()
    began = now()

    def watched(network: Any, recipe: Any, split: Any, _: Any) -> Any:
        def look(step: int) -> None:
            asked = now()
            quantiles = forward(network, windows.contexts, file.held_out)
            watch.look(step, file.loss(quantiles), asked)

        def progress(done: int, total: int, message: str) -> None:  # noqa: ARG001 - a `Progress`
            nonlocal began
            if done % LOOK:  # otherwise the training has just looked at its own validation windows
                watch.pace(STRETCH * BATCH, began)
            else:
                look(done)
            began = now()

        look(0)
        began = now()
        return fit(network, recipe, split, progress)

    vars(stacked_lstm)["fit"] = watched  # this process only measures
    started = now()
    network, *_ = stacked_lstm.train(windows, end, scratch_panel(), lambda *_: None)
    began = now()
    quantiles = forward(network, windows.contexts, file.held_out)
    spent = np.subtract(now(), began)
    name = f"nightcast from scratch, {CONTEXT // stacked_lstm.PATCH} steps, batch {BATCH}, {STEPS} steps"
    pace = (len(file.held_out) / spent).tolist()
    return watch.result(name, start=started[1], forecast=pace, kept=file.loss(quantiles))


def fit_shipped(bars: Bars, end: np.datetime64, file: WindowFile) -> dict[str, object]:
    """Fit what the panel adds to the shipped network, and forecast the held-out windows."""
    from forecasting.models.pretrained_lstm import PanelFit, PretrainedLstm  # noqa: PLC0415 - as above
    from forecasting.models.shipped import shipped_network  # noqa: PLC0415 - as above

    panel = ecb_panel()
    started = now()
    watch = Watch()
    network = shipped_network()
    known = build_windows(panel, bars.until(end), panel.calendar)
    model = PretrainedLstm(network, PanelFit.fit(network, known, end))
    asked = now()
    windows = build_windows(panel, bars, panel.calendar)
    began = now()
    quantiles = model.predict(windows, file.held_out) / windows.scale[file.held_out, None, None]
    spent = np.subtract(now(), began)
    watch.look(0, file.loss(quantiles), asked)
    pace = (len(file.held_out) / spent).tolist()
    return watch.result("nightcast, shipped network", start=started[1], forecast=pace)


def main() -> None:
    """Train, forecast, and print what it took as JSON."""
    folder, which = sys.argv[1:]
    file = WindowFile.read(Path(folder))
    panel = scratch_panel()
    bars = live_bars(panel)
    end = bars.ds[file.held_out].min()
    if which == "scratch":
        print(json.dumps(train_scratch(build_windows(panel, bars, panel.calendar), end, file)))
    else:
        print(json.dumps(fit_shipped(bars, end, file)))


if __name__ == "__main__":
    main()
