"""The outlook: how wide tonight's forecast is for each series, and the odds of large moves.

A price's direction can hardly be forecast, its range can. The width of the published 80% range at the horizon
is compared with the widths that the same publisher forecasts from earlier bars of the same series.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.commands import command
from forecasting.errors import StoreError
from forecasting.models.windows import Windows
from forecasting.panel import Panel
from forecasting.parquet import table_from_bytes
from forecasting.prices.snapshot import Snapshot
from forecasting.publishing.address import ForecastAddress
from forecasting.publishing.forecast import Publisher
from forecasting.quantiles import COLUMNS
from forecasting.reports.odds import odds_below, odds_columns
from forecasting.reports.past_widths import MIN_ORIGINS, past_widths, range_widths
from forecasting.shards import Shard
from forecasting.storage import Storage

OUTLOOK = "_outlook.parquet"

Mood = Literal["calm", "usual", "nervous"]

# Percentiles up to which a width is calm, and from which it is nervous.
CALM = 20
NERVOUS = 80


@dataclass(frozen=True)
class Outlook:
    """What varies in the forecast of one series, at the horizon.

    Attributes:
        percentile: the share, in percent, of the series' past widths below tonight's; None if too few of them
            are known, or a random walk publishes, whose width hardly varies.
        mood: `calm`, `usual` or `nervous`; None without a percentile.
        odds: probability by column, such as `below_5pct`, from the lowest level to the highest.
    """

    percentile: float | None = None
    mood: Mood | None = None
    odds: dict[str, float] = field(default_factory=dict)


def make_outlook(
    publisher: Publisher, snapshot: Snapshot, windows: Windows, forecast: pa.Table, shard: Shard
) -> pa.Table:
    """Compute the outlook of each series of a shard, in the order of its forecast.

    Args:
        publisher: who publishes.
        snapshot: the prices of the forecast.
        windows: the windows of the shard's series.
        forecast: the forecast of these series, in the contract's columns.
        shard: the shard.

    Returns:
        One row for each series: `unique_id`, `width`, `width_percentile`, `mood`, and the odds' columns.

    Raises:
        ModelError: the publisher is not in the store, is damaged, or does not fit the panel.
    """
    panel = publisher.panel
    ends = forecast.filter(pc.equal(forecast["h"], pc.max(forecast["h"])))
    prices = np.column_stack([ends[column].to_numpy() for column in COLUMNS])
    last = ends["y_cutoff"].to_numpy()
    widths = range_widths(prices, last, relative=panel.forecast.transform == "log")
    # A series' row is the one of its bars: both are sorted by id.
    percentiles = _percentiles(widths, past_widths(publisher, snapshot, windows, shard))
    return outlook_table(ends["unique_id"], widths, percentiles, _odds(panel, prices, last))


def outlook_table(
    ids: pa.ChunkedArray, widths: np.ndarray, percentiles: np.ndarray, odds: dict[str, np.ndarray]
) -> pa.Table:
    """Return S series' outlook as a table; percentiles that are NaN become null."""
    return pa.table(
        {
            "unique_id": ids,
            "width": widths,
            "width_percentile": pa.array(percentiles, from_pandas=True),
            "mood": pa.array([_mood(percentile) for percentile in percentiles], pa.string()),
            **odds,
        }
    )


def find_outlooks(storage: Storage, address: ForecastAddress) -> dict[str, Outlook]:
    """Return the outlook of a published forecast by series; empty if the forecast has none.

    Raises:
        StoreError: the file is damaged.
    """
    path = address.path(OUTLOOK)
    data = storage.find(path)
    if data is None:
        return {}
    try:
        return outlooks(table_from_bytes(data))
    except ValueError as error:
        again = command("run", address.panel, "--as-of", address.as_of, store=storage.uri)
        raise StoreError(
            f"{storage.display(path)} is damaged ({error}); "
            f"delete {storage.display(address.folder)} and run: {again}"
        ) from error


def outlooks(table: pa.Table) -> dict[str, Outlook]:
    """Return the outlooks in a table of `make_outlook`, by series."""
    columns = [name for name in table.column_names if name.startswith(("below_", "above_"))]
    return {
        row["unique_id"]: Outlook(row["width_percentile"], row["mood"], {name: row[name] for name in columns})
        for row in table.to_pylist()
    }


def _mood(percentile: float) -> Mood | None:
    if np.isnan(percentile):
        return None
    if percentile <= CALM:
        return "calm"
    return "nervous" if percentile >= NERVOUS else "usual"


def _odds(panel: Panel, prices: np.ndarray, last: np.ndarray) -> dict[str, np.ndarray]:
    """The odds' columns (S,) of S series with these quantiles (S, 11) and last prices (S,)."""
    sizes, relative = np.array(panel.forecast.odds), panel.forecast.transform == "log"
    moves = np.concatenate([-sizes[::-1], sizes])
    if relative:
        below = odds_below(np.log(prices / last[:, None]), np.log1p(moves))
    else:
        below = odds_below(prices - last[:, None], moves)
    odds = np.where(moves < 0, below, 1 - below)
    return dict(zip(odds_columns(panel.forecast.odds, relative=relative), odds.T, strict=True))


def _percentiles(widths: np.ndarray, past: np.ndarray) -> np.ndarray:
    """(S,) percentiles of widths (S,) among past ones (S, n), NaN where too few of these are finite.

    A past width that is equal counts half.
    """
    now = widths[:, None]
    counts = np.isfinite(past).sum(axis=1)
    below = (past < now).sum(axis=1) + (past == now).sum(axis=1) / 2
    return np.where(counts >= MIN_ORIGINS, 100 * below / np.maximum(counts, 1), np.nan)
