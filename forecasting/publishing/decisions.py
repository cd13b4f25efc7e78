"""Decisions: who publishes from an `as_of` on, kept in the store as an append-only log.

The champion at an `as_of` is what the newest decision made for that `as_of` or an earlier one says. A run for
a past date neither uses nor changes today's champion.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

from forecasting.errors import ModelError
from forecasting.evaluation.verdict import Verdict
from forecasting.models.baselines import BASELINES
from forecasting.models.registry import PROMOTIONS, Registry
from forecasting.records import AsOf, Instant, Record
from forecasting.storage import Storage


def _none_if_empty(verdict: object) -> object:
    return verdict or None


@dataclass(frozen=True)
class Decision(Record):
    """Who publishes from an `as_of` on.

    Attributes:
        as_of: the `as_of` that the decision was made for, as written in paths.
        decided_at: when it was made, ISO 8601 in UTC; later than any earlier decision for that `as_of`.
        challenger: the version that was trained for it.
        model: the model that publishes: `stacked_lstm`, `lecture_lstm`, `ewma_walk` or `random_walk`.
        version: the version that publishes. A baseline has no version of its own: it goes by the package's.
        settings: digest of the panel's model settings that the challenger was trained with.
        reason: why, in one sentence.
        verdict: the gate's result; None where nothing was tested. The store writes None as `{}`.
        best: the best version on record, which challengers must hold against; empty where there is none.
        trained_for: the `as_of` of the training behind the decision: its own, except for one made by hand.
        training_bars: number of bars to train on then; 0 where no window fits into them.
        by_hand: whether a person made the decision.
        next_step: what happens next, in one sentence.
        regression_weight: weight of the volatility regression beside the network that publishes; None where
            there is none.
        scores: how realised scores asked for the training, in words; empty where they did not.
    """

    as_of: AsOf
    decided_at: Instant
    challenger: str
    model: str
    version: str
    settings: str
    reason: str
    verdict: Annotated[Verdict | None, BeforeValidator(_none_if_empty)]
    best: str = ""
    trained_for: str = ""
    training_bars: int | None = None
    by_hand: bool = False
    next_step: str = ""
    scores: str = ""
    regression_weight: float | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the decision as a dict of JSON types."""
        return {**super().to_record(), "verdict": self.verdict.to_record() if self.verdict else {}}

    @property
    def is_baseline(self) -> bool:
        """Whether a baseline publishes."""
        return self.model in BASELINES

    @property
    def publisher(self) -> tuple[str, str]:
        """Model and version that publish; the version of a baseline is empty."""
        return self.model, "" if self.is_baseline else self.version

    @property
    def trained_as_of(self) -> str:
        """The `as_of` of the training behind the decision."""
        return self.trained_for or self.as_of

    def can_publish(self, registry: Registry) -> bool:
        """Whether the publisher is in the store, intact; a baseline always is."""
        return self.is_baseline or registry.is_intact(self.version)


class DecisionLog:
    """The decisions of one panel in a store."""

    def __init__(self, storage: Storage, panel: str) -> None:
        self._storage = storage
        self._root = f"models/{panel}/{PROMOTIONS}"

    def append(self, decision: Decision) -> Decision:
        """Append a decision, and return it as written.

        Whatever the clock says, it is dated later than the decision that stood for its `as_of`.

        Raises:
            ModelError: the decision that stood is damaged.
        """
        standing = self.standing(decision.as_of)
        if standing is not None and standing.as_of == decision.as_of:
            decided_at = max(decision.decided_at, _just_after(standing.decided_at))
            decision = replace(decision, decided_at=decided_at)
        while True:
            stamp = decision.decided_at.replace(":", "").replace("+0000", "Z")
            name = f"{decision.as_of}_{stamp}_{decision.challenger}.json"
            data = decision.to_json()
            if self._storage.put_new(f"{self._root}/{name}", data):
                return Decision.from_json(data)
            decision = replace(decision, decided_at=_just_after(decision.decided_at))

    def standing(self, as_of: str) -> Decision | None:
        """Return the newest decision made for `as_of` or an earlier one; None where there is none.

        Raises:
            ModelError: that decision is damaged.
        """
        paths = self._paths(as_of)
        return self._read(paths[-1]) if paths else None

    def all(self, as_of: str | None = None) -> list[Decision]:
        """Return all decisions made for `as_of` or an earlier one (None: every decision), the newest last.

        Raises:
            ModelError: one is damaged.
        """
        return [self._read(path) for path in self._paths(as_of)]

    def _paths(self, as_of: str | None) -> list[str]:
        """Paths sort by `as_of`, then by the time of the decision."""
        paths = self._storage.list(self._root)
        return [path for path in paths if as_of is None or path.rsplit("/", 1)[1].split("_")[0] <= as_of]

    def _read(self, path: str) -> Decision:
        try:
            return Decision.from_json(self._storage.get(path))
        except ValueError as error:
            where = self._storage.display(path)
            raise ModelError(
                f"{where} is damaged: it holds no decision; remove it, and the one before it stands"
            ) from error


def _just_after(decided_at: str) -> str:
    later = datetime.fromisoformat(decided_at) + timedelta(microseconds=1)
    return later.isoformat(timespec="microseconds")
