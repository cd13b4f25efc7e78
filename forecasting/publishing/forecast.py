"""Make a forecast from a snapshot of prices and a decision about who publishes."""

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
from forecasting.prices.snapshot import Snapshot, read_bars
from forecasting.publishing.address import FORECAST, WALKS, ForecastAddress
from forecasting.publishing.decisions import Decision
from forecasting.publishing.publish import forecast_address
from forecasting.publishing.walk_forecasts import walks_file
from forecasting.storage import Storage


def address_of(panel: Panel, snapshot: Snapshot, decision: Decision) -> ForecastAddress:
    """Return the address of the forecast that a snapshot and a decision make, whether or not it exists."""
    as_of = panel.instant(snapshot.as_of)
    who = (decision.model, decision.version)
    return forecast_address(panel, as_of, snapshot.rows_digest, who, provisional=bool(snapshot.provisional))


def open_forecaster(
    panel: Panel, storage: Storage, decision: Decision, windows: Windows, end: np.datetime64
) -> Forecaster:
    """Return the decision's publisher: its network, or its baseline fitted on the bars up to `end`.

    Raises:
        ModelError: the network is not in the store, is damaged, or does not fit the panel.
    """
    if decision.model == RandomWalk.name:
        return RandomWalk()
    if decision.model == EwmaWalk.name:
        return EwmaWalk.fit(windows, end)
    return Registry(storage, panel.name).load(panel, decision.version)


def write_forecast(panel: Panel, storage: Storage, snapshot: Snapshot, decision: Decision) -> ForecastAddress:
    """Make a forecast and write it to its folder, without committing it.

    Writes the forecasts of both random walks beside it; scoring compares the forecast with them.

    Returns:
        The forecast's address.

    Raises:
        ModelError: the model is not in the store, is damaged, or does not fit the panel.
        ContractError: the forecast breaks the contract.
    """
    calendar = panel.calendar
    windows = build_windows(panel, read_bars(panel, storage, snapshot), calendar)
    origins = dict(zip(windows.bars.ids, windows.bars.last, strict=True))
    end = windows.bars.ds.max()
    forecaster = open_forecaster(panel, storage, decision, windows, end)
    parts = [
        _forecast(windows, calendar, forecaster, decision.version, [origins[i] for i in snapshot.network_ids])
    ]
    if snapshot.baseline_ids:
        walk = EwmaWalk.fit(windows, end)
        parts.append(
            _forecast(windows, calendar, walk, __version__, [origins[i] for i in snapshot.baseline_ids])
        )
    address = address_of(panel, snapshot, decision)
    table = contract.to_table(parts, address.forecast_id)
    storage.put(address.path(WALKS), walks_file(windows))
    storage.put(address.path(FORECAST), contract.to_bytes(table, _metadata(panel, snapshot, calendar)))
    return address


def read_written(storage: Storage, address: ForecastAddress) -> pa.Table:
    """Return the forecast that `write_forecast` wrote, in the contract's columns, committed or not.

    Raises:
        StoreError: the forecast is not in the store.
        ContractError: the forecast breaks the contract.
    """
    path = address.path(FORECAST)
    return contract.from_bytes(storage.get(path), path)


def _forecast(
    windows: Windows, calendar: BarCalendar, forecaster: Forecaster, version: str, origins: list[int]
) -> SeriesForecast:
    at = np.array(origins, dtype=np.int64)
    cutoff = windows.bars.ds[at]
    future = {last: calendar.future(last, windows.horizon) for last in np.unique(cutoff)}
    return SeriesForecast(
        ids=tuple(windows.bars.ids[s] for s in windows.bars.series[at]),
        cutoff=cutoff,
        y_cutoff=windows.bars.y[at],
        ds=np.array([future[last] for last in cutoff]).reshape(len(at), windows.horizon),
        quantiles=windows.to_price(at, forecaster.predict(windows, at)),
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
