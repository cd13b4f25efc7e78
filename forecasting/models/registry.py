"""The registry: trained versions of a panel's model, and the append-only log of decisions on who publishes.

A version is complete once its `metadata.json` exists, which is written last. The champion at an `as_of` is
set by the newest decision for that `as_of` or an earlier one. A run for a past date neither uses nor changes
today's champion.
"""

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

from forecasting.digests import digest_bytes
from forecasting.errors import ModelError
from forecasting.models.forecaster import Forecaster
from forecasting.models.training import TrainedNetwork, load_network
from forecasting.panel import Panel
from forecasting.storage import Storage

METADATA = "metadata.json"
_NETWORK = "model.keras"
_PROMOTIONS = "promotions"


@dataclass(frozen=True)
class Decision:
    """Who publishes from an `as_of` on.

    Attributes:
        as_of: the `as_of` it was made for, as written in paths.
        decided_at: when, ISO 8601 in UTC; later than any earlier decision for that `as_of`.
        challenger: the version that was trained for it.
        model: who publishes: `stacked_lstm`, `lecture_lstm`, `ewma_walk` or `random_walk`.
        version: the version that publishes; the challenger's or an earlier one. A baseline that stands in
            has none of its own: it goes by that of this package.
        settings: digest of the panel's model settings that the challenger was trained with.
        reason: one sentence, why.
        verdict: the gate's numbers.
        best: the best version on record, which challengers have to hold against; empty where there is none.
        trained_for: the `as_of` of the training that it rests on: its own, but for a decision by hand.
        training_bars: how many bars there were to train on then; 0 where no window fits into them.
        by_hand: whether a person made it.
        next_step: what happens next, one sentence.
        scores: how realised scores called for that training, in words; empty where they did not.
    """

    as_of: str
    decided_at: str
    challenger: str
    model: str
    version: str
    settings: str
    reason: str
    verdict: dict[str, Any]
    best: str = ""
    trained_for: str = ""
    training_bars: int | None = None
    by_hand: bool = False
    next_step: str = ""
    scores: str = ""

    def to_record(self) -> dict[str, Any]:
        """As a JSON-able record."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """The decision of a record; fields it does not know are ignored."""
        return cls(**{name: record[name] for name in cls.__dataclass_fields__ if name in record})


class Registry:
    """The models and decisions of one panel in a store."""

    def __init__(self, storage: Storage, panel: str) -> None:
        self._storage = storage
        self._root = f"models/{panel}"

    def folder(self, version: str) -> str:
        """Return the path of a version's folder in the store."""
        return f"{self._root}/{version}"

    def path(self, version: str, name: str) -> str:
        """Return the path of one of a version's objects in the store."""
        return f"{self.folder(version)}/{name}"

    def is_intact(self, version: str) -> bool:
        """Return whether a version is complete and its network matches its digest."""
        network = self._storage.find(self.path(version, _NETWORK))
        try:
            return network is not None and self.metadata(version).get("sha256") == digest_bytes(network)
        except ModelError:
            return False

    def save(self, version: str, network: TrainedNetwork, facts: dict[str, Any]) -> None:
        """Store a trained version. `facts` (JSON-able) are added to its metadata."""
        self._storage.put(self.path(version, _NETWORK), network.model_bytes)
        metadata = {
            **facts,
            **network.facts,
            "version": version,
            "sha256": digest_bytes(network.model_bytes),
            "state": network.state,
            "history": network.history,
        }
        self._storage.put(self.path(version, METADATA), json.dumps(metadata, sort_keys=True).encode())

    def metadata(self, version: str) -> dict[str, Any]:
        """Return the metadata of a version.

        Raises:
            ModelError: the version does not exist, or its metadata is damaged.
        """
        data = self._storage.find(self.path(version, METADATA))
        if data is None:
            raise ModelError(
                f"no model {version} in {self._storage.display(self._root)}; run with --mode retrain"
            )
        try:
            found: dict[str, Any] = json.loads(data)
        except json.JSONDecodeError as error:
            where = self._storage.display(self.path(version, METADATA))
            raise ModelError(f"{where} is damaged; run with --mode retrain") from error
        return found

    def load(self, panel: Panel, version: str) -> Forecaster:
        """Load a version as a forecaster for `panel`.

        Raises:
            ModelError: the version does not exist, is damaged, or does not fit the panel.
        """
        metadata = self.metadata(version)
        network = self._storage.find(self.path(version, _NETWORK))
        if network is None:
            raise ModelError(
                f"model {version} of {panel.name} has lost its {_NETWORK}; run with --mode retrain"
            )
        return load_network(panel, network, metadata["state"])

    def versions(self) -> list[str]:
        """Return the sorted names of all versions, complete or not."""
        below = (path.removeprefix(f"{self._root}/").split("/") for path in self._storage.list(self._root))
        return sorted({parts[0] for parts in below if len(parts) > 1} - {_PROMOTIONS})

    def record(self, decision: Decision) -> Decision:
        """Append a decision to the log.

        Its `decided_at` is moved forward if needed, so that it is later than every earlier decision for its
        `as_of`, even if the clock went back.

        Returns:
            The decision as written.

        Raises:
            ModelError: the newest earlier decision is damaged.
        """
        standing = self.decision(decision.as_of)
        if standing is not None and standing.as_of == decision.as_of:
            decided_at = max(decision.decided_at, _just_after(standing.decided_at))
            decision = replace(decision, decided_at=decided_at)
        while True:
            stamp = decision.decided_at.replace(":", "").replace("+0000", "Z")
            name = f"{decision.as_of}_{stamp}_{decision.challenger}.json"
            data = json.dumps(decision.to_record(), indent=1, sort_keys=True, allow_nan=False).encode()
            if self._storage.put_new(f"{self._root}/{_PROMOTIONS}/{name}", data):
                return Decision.from_record(json.loads(data))
            decision = replace(decision, decided_at=_just_after(decision.decided_at))

    def decision(self, as_of: str) -> Decision | None:
        """Return the newest decision for `as_of` or an earlier one; None if there is none.

        Raises:
            ModelError: the decision is damaged.
        """
        paths = self._decided(as_of)
        return self._read(paths[-1]) if paths else None

    def decisions(self, as_of: str | None = None) -> list[Decision]:
        """Return all decisions for `as_of` or an earlier one (None: all decisions), the newest last.

        Raises:
            ModelError: a decision is damaged.
        """
        return [self._read(path) for path in self._decided(as_of)]

    def _decided(self, as_of: str | None) -> list[str]:
        """Return the paths of the decisions, sorted by `as_of` and then by `decided_at`."""
        paths = self._storage.list(f"{self._root}/{_PROMOTIONS}")
        return [path for path in paths if as_of is None or path.rsplit("/", 1)[1].split("_")[0] <= as_of]

    def _read(self, path: str) -> Decision:
        try:
            return Decision.from_record(json.loads(self._storage.get(path)))
        except (ValueError, TypeError, AttributeError) as error:
            where = self._storage.display(path)
            raise ModelError(
                f"{where} is damaged: it holds no decision; remove it, and the one before it stands"
            ) from error


def _just_after(decided_at: str) -> str:
    later = datetime.fromisoformat(decided_at) + timedelta(microseconds=1)
    return later.isoformat(timespec="microseconds")
