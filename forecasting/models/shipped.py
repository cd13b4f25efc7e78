"""The pretrained network that the package ships, and the record of its pretraining."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from forecasting.models.network import Network
from forecasting.records import Record

FOLDER = Path(__file__).parent / "pretrained"
NETWORK, METADATA = "model.keras", "metadata.json"


@dataclass(frozen=True, kw_only=True)
class Scores(Record):
    """Scores of a network on fresh simulated markets of one kind, with losses as in `Judgement`.

    Attributes:
        windows: number of windows.
        network: the network's loss.
        regression: the loss of a volatility regression, fitted on other simulated windows.
        ewma_walk: the loss of the EWMA walk, fitted on the same.
        cover_80: coverage of the 80% interval at each of `STEPS_AHEAD`.
        cover_90: coverage of the 90% interval.
        seer_windows: number of windows in the comparison with the seer, which are other ones.
        network_on_them: the network's loss on those.
        seer: the seer's loss on those.
    """

    windows: int
    network: float
    regression: float
    ewma_walk: float
    cover_80: list[float]
    cover_90: list[float]
    seer_windows: int
    network_on_them: float
    seer: float


@dataclass(frozen=True, kw_only=True)
class Pretraining(Record):
    """The record of a pretraining.

    Attributes:
        recipe: the settings; see `Recipe`.
        laws: by kind of bars, the laws and lengths of the simulated series.
        prices_used_until: by panel, the last date of the real prices that were used to choose the laws, the
            inputs and the size of the network. It was not trained on them.
        inputs: names of the inputs at the origin.
        steps_ahead: steps at which the simulated futures count.
        parameters: number of weights.
        loss_by_round: pairs of a round and the loss on fresh markets after it.
        scores: by kind of bars.
        weights_digest: digest of the weights.
    """

    recipe: dict[str, Any]
    laws: dict[str, dict[str, Any]]
    prices_used_until: dict[str, str]
    inputs: list[str]
    steps_ahead: list[int]
    parameters: int
    loss_by_round: list[tuple[int, float]]
    scores: dict[str, Scores]
    weights_digest: str


@cache
def shipped_bytes() -> bytes:
    """The `.keras` file that `make pretrain` wrote."""
    return (FOLDER / NETWORK).read_bytes()


@cache
def shipped_network() -> Network:
    """The network in that file."""
    return Network.read(shipped_bytes())


@cache
def shipped_pretraining() -> Pretraining:
    """The record of its pretraining."""
    return Pretraining.from_json((FOLDER / METADATA).read_bytes())
