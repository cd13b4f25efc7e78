"""The gallery: draw pictures of the series of a forecast into the forecast's folder."""

import logging
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting import contract
from forecasting.errors import ContractError, StoreError
from forecasting.evaluation.metrics import in_sample_change, scaled_quantile_loss
from forecasting.models.baselines import RandomWalk
from forecasting.models.registry import Registry
from forecasting.models.windows import Windows, build_windows
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot, bars_behind
from forecasting.progress import Progress, silent
from forecasting.publishing.address import FORECAST, as_of_folder
from forecasting.publishing.decisions import Decision
from forecasting.publishing.forecast import address_of, fit_walk, open_forecaster, read_written
from forecasting.publishing.publish import find_published
from forecasting.quantiles import COLUMNS
from forecasting.reports.charts import RECENT_BARS, Comparison, SeriesChart
from forecasting.reports.drawing_processes import draw_charts
from forecasting.shards import Shard
from forecasting.storage import Storage

_log = logging.getLogger(__name__)


def draw_gallery(
    panel: Panel,
    storage: Storage,
    snapshot: Snapshot,
    decision: Decision,
    shard: Shard,
    on_progress: Progress = silent,
) -> None:
    """Draw the pictures of a shard of the series that get one, and write these to the forecast's folder.

    `chart_choice` says which series get a picture.

    Raises:
        StoreError: the forecast is not in the store.
        DrawingError: a process that draws has died.
    """
    address = address_of(panel, snapshot, decision)
    fans = _Fans.of(read_written(storage, address))
    bars = bars_behind(panel, storage, snapshot, shard.ids)
    windows = build_windows(panel, bars, panel.calendar)
    comparisons = _compare(panel, storage, snapshot, decision, windows)
    charts = [
        _chart(panel, windows, series, fans, comparisons.get(unique_id))
        for series, unique_id in enumerate(windows.bars.ids)
    ]

    def keep(unique_id: str, png: bytes) -> None:
        storage.put(address.chart(unique_id), png, synced=False)

    for number, unique_id in enumerate(draw_charts(charts, keep), start=1):
        on_progress(number, len(charts), f"{number} of {len(charts)}, {unique_id}")


@dataclass(frozen=True)
class _Fans:
    """A forecast of S series, H steps each.

    Attributes:
        row: the row of each series in the arrays below.
        cutoff: (S,) datetime64; the last bar that the forecast knew.
        ds: (S, H) datetime64; the bars forecast.
        quantiles: (S, H, 11) prices.
        models: (S,) who forecasts.
    """

    row: dict[str, int]
    cutoff: np.ndarray
    ds: np.ndarray
    quantiles: np.ndarray
    models: pa.ChunkedArray

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """Take a forecast apart. By the contract, it has the steps 1 to H of one series after another."""
        horizon = pc.max(table["h"]).as_py()
        firsts = table.filter(pc.equal(table["h"], 1))
        ids = firsts["unique_id"].to_pylist()
        return cls(
            row={unique_id: row for row, unique_id in enumerate(ids)},
            cutoff=firsts["cutoff"].to_numpy(),
            ds=table["ds"].to_numpy().reshape(len(ids), horizon),
            quantiles=np.column_stack([table[column].to_numpy() for column in COLUMNS]).reshape(
                len(ids), horizon, len(COLUMNS)
            ),
            models=firsts["model"],
        )


def _chart(
    panel: Panel, windows: Windows, series: int, fans: _Fans, comparison: Comparison | None
) -> SeriesChart:
    bars = windows.bars
    start, stop = bars.offsets[series : series + 2]
    recent = slice(max(start, stop - RECENT_BARS), stop)
    row = fans.row[bars.ids[series]]
    return SeriesChart(
        unique_id=bars.ids[series],
        panel=panel.name,
        price_label=panel.forecast.target,
        ds=bars.ds[recent],
        y=bars.y[recent],
        cutoff=bars.ds[stop - 1],
        y_cutoff=bars.y[stop - 1],
        forecast_ds=fans.ds[row],
        quantiles=fans.quantiles[row],
        model=fans.models[row].as_py(),
        comparison=comparison,
        no_comparison="There are too few bars, or the model was trained on them.",
    )


def _compare(
    panel: Panel, storage: Storage, snapshot: Snapshot, decision: Decision, windows: Windows
) -> dict[str, Comparison]:
    """By series, the forecast from one horizon ago, published then or made now, and the actual prices."""
    enough = windows.bars.lengths > windows.horizon
    origins = windows.bars.last[enough] - windows.horizon
    origins = origins[windows.has_context[origins] & windows.has_target[origins]]
    # A network's output on bars that it trained on is no forecast. A baseline is fitted before the origins.
    if not decision.is_baseline:
        trained_to = Registry(storage, panel.name).metadata(decision.version).training_end
        origins = origins[windows.bars.ds[origins] >= np.datetime64(trained_to)]
    if not len(origins):
        return {}
    y = windows.bars.y[origins[:, None] + np.arange(1, windows.horizon + 1)]
    change = in_sample_change(windows.bars.y, windows.bars.series)[origins]
    walk = windows.to_price(origins, RandomWalk().predict(windows, origins))
    walk_loss = scaled_quantile_loss(y, walk, change)
    end = windows.bars.ds[origins].min()
    forecaster = open_forecaster(panel, storage, decision, lambda: fit_walk(panel, storage, snapshot, end))
    made_now = windows.to_price(origins, forecaster.predict(windows, origins))
    published = {label: _published(panel, storage, label) for label in _labels(panel, windows, origins)}

    comparisons = {}
    for at, origin in enumerate(origins):
        unique_id = windows.bars.ids[windows.bars.series[origin]]
        label = panel.label(windows.bars.ds[origin])
        quantiles = _published_quantiles(published[label], unique_id, windows, origin)
        source = f"published for {label}" if quantiles is not None else "made on bars held out of training"
        quantiles = made_now[at] if quantiles is None else quantiles
        loss = scaled_quantile_loss(y[at], quantiles, change[at])
        comparisons[unique_id] = Comparison(
            cutoff=windows.bars.ds[origin],
            y_cutoff=windows.bars.y[origin],
            ds=windows.bars.ds[origin + 1 : origin + 1 + windows.horizon],
            y=y[at],
            quantiles=quantiles,
            origin=source,
            skill=float(1 - loss / walk_loss[at]) if walk_loss[at] > 0 else None,
        )
    return comparisons


def _labels(panel: Panel, windows: Windows, origins: np.ndarray) -> list[str]:
    return [panel.label(ds) for ds in np.unique(windows.bars.ds[origins])]


def _published(panel: Panel, storage: Storage, label: str) -> _Fans | None:
    """The newest published forecast for an `as_of`; None if there is none, or it cannot be read."""
    published = find_published(storage, as_of_folder(panel.name, label))
    if not published:
        return None
    path = published[-1][0] + FORECAST
    try:
        return _Fans.of(contract.from_bytes(storage.get(path), path))
    except (StoreError, ContractError) as error:
        _log.warning("charts: the forecast as of %s is not shown for comparison: %s", label, error)
        return None


def _published_quantiles(
    fans: _Fans | None, unique_id: str, windows: Windows, origin: int
) -> np.ndarray | None:
    """(H, 11) a published forecast's quantiles of a series; None unless it starts at `origin`."""
    row = fans.row.get(unique_id) if fans is not None else None
    if fans is None or row is None:
        return None
    quantiles: np.ndarray = fans.quantiles[row]
    same_start = len(quantiles) == windows.horizon and fans.cutoff[row] == windows.bars.ds[origin]
    return quantiles if same_start else None
