"""Forecasts to score, published in a moment: the EWMA walk makes them, or they are written by hand."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from forecasting import __version__, contract
from forecasting.contract import SeriesForecast
from forecasting.digests import digest_bytes
from forecasting.night_shards import forecast_shard, join_shards
from forecasting.panel import Panel
from forecasting.prices.schema import GOOD, INSTANT, VALUES
from forecasting.prices.snapshot import Snapshot, take_snapshot
from forecasting.prices.table import PriceTable
from forecasting.publishing.address import FORECAST, MANIFEST, ForecastAddress, latest_pointer, latest_table
from forecasting.publishing.decisions import Decision
from forecasting.publishing.forecast import address_of, fit_walk
from forecasting.publishing.manifest import Manifest, Pointer, describe_forecast
from forecasting.publishing.publish import commit
from forecasting.shards import make_shards
from forecasting.storage import Storage

NOW = np.datetime64("2026-11-20T06:00:00", "us")
DAY = np.timedelta64(1, "D")
FIRST_DAY = np.datetime64("2026-01-01", "us")


def small_panel(**parts: Any) -> Panel:
    """Daily bars, all days of the week, five ahead."""
    given = {"name": "small", "source": {"uri": "x"}, "forecast": {"horizon": 5}, "audit": {"min_bars": 20}}
    return Panel.model_validate(given | parts)


def add_prices(
    panel: Panel, storage: Storage, closes: Mapping[str, np.ndarray], first: np.datetime64 = FIRST_DAY
) -> None:
    """Append closes, a day each from `first` on."""
    tables = []
    for unique_id, values in closes.items():
        columns: dict[str, Any] = {name: pa.nulls(len(values), pa.float64()) for name in VALUES}
        columns |= {
            "unique_id": [unique_id] * len(values),
            "ds": pa.array(first + np.arange(len(values)) * DAY).cast(INSTANT),
            "close": values,
        }
        tables.append(pa.table([columns[name] for name in GOOD.names], schema=GOOD))
    PriceTable.create(storage, panel).append(pa.concat_tables(tables), NOW)


def walks(count: int, names: tuple[str, ...] = ("AAA", "B/B", "CCC")) -> dict[str, np.ndarray]:
    """So many prices of each series; the first ones are the same whatever `count` is."""
    return {
        name: 100 * np.exp(np.random.default_rng(seed).normal(0, 0.01, 400).cumsum()[:count])
        for seed, name in enumerate(names)
    }


def publish_walk(panel: Panel, storage: Storage, as_of: str, provisional: str = "") -> ForecastAddress:
    """Publish what the EWMA walk forecasts from the prices there are, as a run for that `as_of` would."""
    snapshot = take_snapshot(panel, storage, as_of, datetime(2026, 11, 20, 6, tzinfo=UTC))
    snapshot = replace(snapshot, provisional=provisional)
    decision = Decision(
        as_of, "2026-01-01T06:00:00+00:00", "v", "ewma_walk", __version__, "s", "because", None
    )
    address = write_forecast(panel, storage, snapshot, decision)
    commit(storage, describe_forecast(panel, snapshot, decision, address))
    return address


def write_forecast(panel: Panel, storage: Storage, snapshot: Snapshot, decision: Decision) -> ForecastAddress:
    """Write a forecast to its folder as a night does, and do not commit it."""
    address, shards = address_of(panel, snapshot, decision), make_shards(snapshot.ids)
    walk = fit_walk(panel, storage, snapshot)
    for shard in shards:
        forecast_shard(panel, storage, snapshot, decision, walk, shard)
    if len(shards) > 1:
        join_shards(storage, address, len(shards))
    return address


def publish_by_hand(
    panel: Panel,
    storage: Storage,
    as_of: str,
    quantiles: Mapping[str, np.ndarray],
    y_cutoff: float = 100.0,
    ds: np.ndarray | None = None,
) -> ForecastAddress:
    """Publish these quantiles (11,) of each series at every step: the days after `as_of`, or `ds` (H,)."""
    cutoff, horizon = panel.instant(as_of), panel.forecast.horizon
    ds = cutoff + np.arange(1, horizon + 1) * DAY if ds is None else ds
    part = SeriesForecast(
        ids=tuple(quantiles),
        cutoff=np.repeat(cutoff, len(quantiles)),
        y_cutoff=np.full(len(quantiles), y_cutoff),
        ds=np.tile(ds, (len(quantiles), 1)),
        quantiles=np.stack([np.tile(row, (horizon, 1)) for row in quantiles.values()]),
        model="stacked_lstm",
        version="v1",
    )
    address = ForecastAddress(panel.name, as_of, "0123456789abcdef")
    table = contract.to_table([part], address.forecast_id)
    storage.put(address.path(FORECAST), contract.to_bytes(table, {}))
    known_at = str(PriceTable(storage, panel.name).known_at)
    facts = {"origin": "live", "known_at": f"{known_at}Z", "rows": table.num_rows}
    commit(storage, Manifest.of(address, **facts))
    return address


def write_pointer(storage: Storage, as_of: str, panel: str = "small", **facts: Any) -> None:
    """Let `latest/` show a forecast for `as_of`, published on 2026-10-31 at 06:00 UTC. It has no files."""
    now = datetime(2026, 10, 31, 6, tzinfo=UTC).isoformat()
    given = {"known_at": now, "published_at": now, "model": "ewma_walk", "objects": {FORECAST: "0"}} | facts
    manifest = Manifest.of(ForecastAddress(panel, as_of, "x"), **given)
    storage.put(latest_pointer(panel), Pointer.to(manifest).to_json())


def show_by_hand(storage: Storage, panel: str, as_of: str, **facts: Any) -> Manifest:
    """Let `latest/` show a forecast of one series for `as_of`, whatever it showed before."""
    address = ForecastAddress(panel, as_of, "x")
    table = contract.to_table([_one_series()], address.forecast_id)
    data = contract.to_bytes(table, {"as_of": as_of})
    manifest = Manifest.of(address, objects={FORECAST: digest_bytes(data)}, **facts)
    storage.put(address.path(FORECAST), data)
    storage.put(address.path(MANIFEST), manifest.to_json())
    storage.put(latest_table(panel), data)
    storage.put(latest_pointer(panel), Pointer.to(manifest).to_json())
    return manifest


def _one_series() -> SeriesForecast:
    cutoff = np.array([FIRST_DAY])
    return SeriesForecast(("A",), cutoff, np.ones(1), cutoff[:, None] + DAY, np.ones((1, 1, 11)), "m", "v")
