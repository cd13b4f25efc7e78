"""Make a forecast from a snapshot of prices and a decision about who publishes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from forecasting import __version__, contract
from forecasting.calendar import BarCalendar
from forecasting.contract import SeriesForecast
from forecasting.models.baselines import EwmaWalk, RandomWalk
from forecasting.models.forecaster import Forecaster
from forecasting.models.registry import Registry
from forecasting.models.windows import Windows, build_windows
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot, bars_behind
from forecasting.publishing.address import FORECAST, ForecastAddress
from forecasting.publishing.decisions import Decision
from forecasting.publishing.publish import forecast_address
from forecasting.shards import sample_series
from forecasting.storage import Storage


def address_of(panel: Panel, snapshot: Snapshot, decision: Decision) -> ForecastAddress:
    """Return the address of the forecast that a snapshot and a decision make, whether or not it exists."""
    as_of = panel.instant(snapshot.as_of)
    who = (decision.model, decision.version)
    return forecast_address(panel, as_of, snapshot.rows_digest, who, provisional=bool(snapshot.provisional))


@dataclass(frozen=True)
class Publisher:
    """Who forecasts the series of a panel.

    Attributes:
        panel: the panel.
        storage: the store with the prices and the networks.
        decision: who publishes.
        walk: the EWMA walk of the panel, which forecasts series that are too short for a network.
    """

    panel: Panel
    storage: Storage
    decision: Decision
    walk: EwmaWalk

    @cached_property
    def forecaster(self) -> Forecaster:
        """The network or the baseline that the decision names.

        Raises:
            ModelError: the network is not in the store, is damaged, or does not fit the panel.
        """
        return open_forecaster(self.panel, self.storage, self.decision, lambda: self.walk)


def open_forecaster(
    panel: Panel, storage: Storage, decision: Decision, fit_ewma_walk: Callable[[], EwmaWalk]
) -> Forecaster:
    """Return the decision's publisher: its network, or its baseline.

    Raises:
        ModelError: the network is not in the store, is damaged, or does not fit the panel.
    """
    if decision.model == RandomWalk.name:
        return RandomWalk()
    if decision.model == EwmaWalk.name:
        return fit_ewma_walk()
    return Registry(storage, panel.name).load(panel, decision.version)


def fit_walk(
    panel: Panel, storage: Storage, snapshot: Snapshot, end: np.datetime64 | None = None
) -> EwmaWalk:
    """Fit the EWMA walk to the prices of a panel up to `end`, or of a sample of its series if it has many.

    Raises:
        ModelError: no price ever moves.
    """
    bars = bars_behind(panel, storage, snapshot, sample_series(snapshot.ids))
    return EwmaWalk.fit(build_windows(panel, bars, panel.calendar), bars.ds.max() if end is None else end)


def forecast_series(publisher: Publisher, snapshot: Snapshot, windows: Windows) -> pa.Table:
    """Forecast each series of `windows` from its last bar on.

    Returns:
        The forecasts, in the contract's columns.

    Raises:
        ModelError: the model is not in the store, is damaged, or does not fit the panel.
        ContractError: the forecasts break the contract.
    """
    panel, decision = publisher.panel, publisher.decision
    by_model = np.isin(windows.bars.ids, snapshot.network_ids)
    parts = []
    if by_model.any():
        origins = windows.bars.last[by_model]
        parts.append(_forecast(windows, publisher.forecaster, decision.version, origins))
    if not by_model.all():
        parts.append(_forecast(windows, publisher.walk, __version__, windows.bars.last[~by_model]))
    return contract.to_table(parts, address_of(panel, snapshot, decision).forecast_id)


def forecast_file(panel: Panel, snapshot: Snapshot, table: pa.Table) -> bytes:
    """Return the rows of a forecast, in the contract's columns, as a Parquet file."""
    return contract.to_bytes(table, _metadata(panel, snapshot, panel.calendar))


def read_written(storage: Storage, address: ForecastAddress) -> pa.Table:
    """Return the forecast that a night wrote, in the contract's columns, committed or not.

    Raises:
        StoreError: the forecast is not in the store.
        ContractError: the forecast breaks the contract.
    """
    path = address.path(FORECAST)
    return contract.from_bytes(storage.get(path), path)


def _forecast(windows: Windows, forecaster: Forecaster, version: str, origins: np.ndarray) -> SeriesForecast:
    cutoff = windows.bars.ds[origins]
    future = {last: windows.calendar.future(last, windows.horizon) for last in np.unique(cutoff)}
    return SeriesForecast(
        ids=tuple(windows.bars.ids[s] for s in windows.bars.series[origins]),
        cutoff=cutoff,
        y_cutoff=windows.bars.y[origins],
        ds=np.array([future[last] for last in cutoff]).reshape(len(origins), windows.horizon),
        quantiles=windows.to_price(origins, forecaster.predict(windows, origins)),
        model=forecaster.name,
        version=version,
    )


def _metadata(panel: Panel, snapshot: Snapshot, calendar: BarCalendar) -> dict[str, str]:
    """The Parquet file's key-value metadata. It follows from the inputs alone: equal inputs give equal bytes.

    `known_at` here is therefore the close of the `as_of` bar; no later bar was used. The time when the store
    learned the rows differs between stores, and is in the manifest.
    """
    as_of = panel.instant(snapshot.as_of)
    return {
        "panel": panel.name,
        "as_of": snapshot.as_of,
        "known_at": f"{calendar.closes(np.array([as_of]))[0]}Z",
        "freq": panel.bars.freq,
        "horizon": str(panel.forecast.horizon),
        "calendar": panel.bars.calendar,
    }
