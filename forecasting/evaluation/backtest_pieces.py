"""A backtest in pieces: each training and each cutoff by itself, so that many machines can share the work.

A piece reads the prices itself, all pieces those of one instant. It writes what it finds to the backtest's
working folder in the store. Joined, the pieces are the result of `backtest.backtest_panel`.
"""

import json
from dataclasses import dataclass

import numpy as np

from forecasting.evaluation.backtest import (
    BacktestPlan,
    BacktestResult,
    CutoffPart,
    Fitted,
    Past,
    backtest_identity,
    common_cutoffs,
    first_values,
    join_cutoffs,
    place_of,
    train_at,
)
from forecasting.models.baselines import EwmaWalk
from forecasting.models.training import load_network
from forecasting.panel import Panel
from forecasting.parquet import table_from_bytes, table_to_bytes
from forecasting.prices.table import PriceTable
from forecasting.progress import Progress, silent
from forecasting.storage import Storage


@dataclass(frozen=True)
class BacktestWork:
    """What every piece of a backtest has to know.

    Attributes:
        plan: the plan of the backtest.
        cutoffs: its cutoffs, increasing.
        known_by: prices that arrived later are ignored.
        identity: the digest of the backtest's inputs.
        folder: the working folder in the store.
    """

    plan: BacktestPlan
    cutoffs: tuple[np.datetime64, ...]
    known_by: np.datetime64 | None
    identity: str
    folder: str

    @property
    def trainings(self) -> tuple[int, ...]:
        """The numbers of the cutoffs at which a network is trained."""
        return tuple(number for number in range(len(self.cutoffs)) if self.plan.refits(number))

    def trained_at(self, number: int) -> int:
        """Return the number of the cutoff whose network forecasts at cutoff `number`."""
        return max(training for training in self.trainings if training <= number)

    def place(self, panel: Panel, number: int) -> str:
        """Describe a cutoff."""
        return place_of(panel, self.plan, np.array(self.cutoffs), number)

    def path(self, number: int, name: str) -> str:
        """Return where a cutoff's file is kept until the backtest ends."""
        return f"{self.folder}/{number:04}/{name}"


_NETWORK = "model.keras"
_FIT = "fit.json"
_PREDICTIONS = "predictions.parquet"


def plan_work(panel: Panel, storage: Storage, plan: BacktestPlan, folder: str) -> BacktestWork:
    """Choose the cutoffs of a backtest that is done in pieces.

    Raises:
        StoreError: the panel has no prices yet.
        AuditError: there are too few bars for that many cutoffs.
    """
    prices = PriceTable(storage, panel)
    bars = first_values(panel, prices)
    cutoffs = tuple(common_cutoffs(panel, bars, plan))
    return BacktestWork(plan, cutoffs, prices.known_at, backtest_identity(panel, bars, plan), folder)


def train_piece(
    panel: Panel, storage: Storage, work: BacktestWork, number: int, on_progress: Progress = silent
) -> None:
    """Train a network on the prices up to a cutoff, and write it to the store.

    Raises:
        ModelError: the training fails.
    """
    night = _past(panel, storage, work).night(work.cutoffs[number])
    network = train_at(panel, night.network_bars, night.cutoff, on_progress)
    walk = EwmaWalk.fit(night.windows, night.cutoff)
    storage.put(work.path(number, _NETWORK), network.model_bytes)
    fit = {"state": network.state, "walk": walk.table.tolist()}
    storage.put(work.path(number, _FIT), json.dumps(fit).encode())


def forecast_piece(panel: Panel, storage: Storage, work: BacktestWork, number: int) -> None:
    """Forecast from a cutoff with the network that was trained last, and write the predictions to the store.

    Raises:
        StoreError: the network has not been written.
        ContractError: a forecast is not finite, or its quantiles cross.
    """
    past, trained = _past(panel, storage, work), work.trained_at(number)
    fit = json.loads(storage.get(work.path(trained, _FIT)))
    fitted = Fitted(
        model=load_network(panel, storage.get(work.path(trained, _NETWORK)), fit["state"]),
        walk=EwmaWalk(np.array(fit["walk"])),
        version=panel.label(work.cutoffs[trained]),
    )
    part = past.forecast(past.night(work.cutoffs[number]), fitted)
    facts = {"model": part.model, "unscored": str(part.unscored)}
    storage.put(
        work.path(number, _PREDICTIONS), table_to_bytes(part.predictions.replace_schema_metadata(facts))
    )


def join_pieces(panel: Panel, storage: Storage, work: BacktestWork) -> BacktestResult:
    """Make the result of all cutoffs' predictions.

    Raises:
        StoreError: those of a cutoff are missing.
        AuditError: no series has a complete target after any cutoff.
    """
    parts = [_read_part(storage.get(work.path(number, _PREDICTIONS))) for number in range(len(work.cutoffs))]
    return join_cutoffs(panel, work.plan, np.array(work.cutoffs), parts)


def _past(panel: Panel, storage: Storage, work: BacktestWork) -> Past:
    bars = first_values(panel, PriceTable(storage, panel), work.known_by)
    return Past.of(panel, bars, panel.calendar, work.identity)


def _read_part(data: bytes) -> CutoffPart:
    table = table_from_bytes(data)
    facts = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    return CutoffPart(table.replace_schema_metadata(), facts["model"], int(facts["unscored"]))
