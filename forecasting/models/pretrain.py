"""The command behind `make pretrain`: `python -m forecasting.models.pretrain [FOLDER]`.

It trains the default network on simulated markets, evaluates it on fresh ones, and writes `model.keras` and
`metadata.json` to the folder, by default the one from which the package ships them. The same machine produces
the same weights again; only the time of saving in the `.keras` file differs.
"""

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from forecasting.models.backend import tf
from forecasting.models.inputs import NAMES
from forecasting.models.network import Network
from forecasting.models.pretraining import Recipe, pretrain
from forecasting.models.shipped import FOLDER, METADATA, NETWORK, Pretraining, Scores
from forecasting.models.simulation.judge import (
    SEER_PATHS,
    judge,
    network_quantiles,
    regression_quantiles,
    seer_quantiles,
    walk_quantiles,
)
from forecasting.models.simulation.markets import PATHS, STEPS_AHEAD
from forecasting.models.simulation.samples import KINDS, Sample

# Numbers of the samples that are kept out of training.
_WATCHED, _PAST, _SEEN, _JUDGED = 10**6, 10**6 + 1, 10**6 + 2, 10**6 + 3
# Number of samples for the evaluation, and of series for the seer, which needs many more futures of each.
_JUDGED_SAMPLES = 4
_SEER_SERIES = 200
# The loss on fresh markets is recorded every so many rounds.
_WATCH_EVERY = 5

# Real prices that were used to choose the laws, the inputs and the size of the network, up to these dates.
# The network was not trained on them.
PRICES_USED_UNTIL = {
    "ECB reference rates": "2016-09-30",
    "US stocks (AAPL, FB, GOOG, IBM, MSFT)": "2013-12-31",
    "spot energy (Brent, Henry Hub)": "2026-08-18",
    "hourly NZDUSD and gold": "2016-12-31",
    "hourly bitcoin": "2022-03-01",
}


def main(folder: Path, recipe: Recipe) -> None:
    """Pretrain, evaluate on fresh markets, and write both files."""
    # One thread trains and one simulates; with one thread, sums always have the same order.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    started = time.monotonic()
    watched = Sample.join([recipe.sample(_WATCHED, kind, series=recipe.series // 4) for kind in KINDS])
    history: list[tuple[int, float]] = []

    def on_round(number: int, model: Any, loss: float) -> None:
        if number % _WATCH_EVERY == 0 or number in (1, recipe.rounds):
            network = Network.of(model.get_weights())
            fresh = judge(network_quantiles(network, watched), watched).loss
            history.append((number, round(fresh, 5)))
            seconds = time.monotonic() - started
            _say(f"round {number}/{recipe.rounds}: loss {loss:.4f}, fresh {fresh:.5f}; {seconds:.0f} s")

    model = pretrain(recipe, on_round)
    network = Network.of(model.get_weights())
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / NETWORK)
    record = Pretraining(
        recipe=asdict(recipe),
        laws={name: {**asdict(kind.laws), **kind.length._asdict()} for name, kind in KINDS.items()},
        prices_used_until=PRICES_USED_UNTIL,
        inputs=list(NAMES),
        steps_ahead=STEPS_AHEAD.tolist(),
        parameters=model.count_params(),
        loss_by_round=history,
        scores={kind: _score(recipe, kind, network) for kind in KINDS},
        weights_digest=network.digest,
    )
    (folder / METADATA).write_bytes(record.to_json() + b"\n")
    for kind, scores in record.scores.items():
        _say(f"{kind}: {scores}")
    _say(f"{folder / NETWORK}: {network.digest}, after {time.monotonic() - started:.0f} s")


def _score(recipe: Recipe, kind: str, network: Network) -> Scores:
    past = recipe.sample(_PAST, kind)
    fresh = Sample.join([recipe.sample(_JUDGED + number, kind) for number in range(_JUDGED_SAMPLES)])
    own = judge(network_quantiles(network, fresh), fresh)
    few = min(_SEER_SERIES, recipe.series)
    seer, seen = seer_quantiles(recipe.sample(_SEEN, kind, series=few, paths=SEER_PATHS + PATHS))
    return Scores(
        windows=len(fresh),
        network=round(own.loss, 5),
        regression=round(judge(regression_quantiles(past, fresh), fresh).loss, 5),
        ewma_walk=round(judge(walk_quantiles(past, fresh), fresh).loss, 5),
        cover_80=own.cover[80].round(4).tolist(),
        cover_90=own.cover[90].round(4).tolist(),
        seer_windows=len(seen),
        network_on_them=round(judge(network_quantiles(network, seen), seen).loss, 5),
        seer=round(judge(seer, seen).loss, 5),
    )


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER, Recipe())
