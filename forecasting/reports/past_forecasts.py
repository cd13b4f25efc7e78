"""Past forecasts of a panel, to be drawn over the prices that came."""

import logging
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.errors import StoreError
from forecasting.panel import Panel
from forecasting.parquet import table_from_bytes
from forecasting.publishing.address import FORECAST, as_of_folder, forecasts_folder
from forecasting.publishing.publish import find_published
from forecasting.storage import Storage

QUANTILES = ("q10", "q50", "q90")

_COLUMNS = ("unique_id", "cutoff", "y_cutoff", "h", *QUANTILES)
# How many horizons ago, and how far from that a forecast may be, in horizons.
_AGES = (1 / 3, 2 / 3, 1, 2)
_TOLERANCE = 1 / 6

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PastForecast:
    """A published forecast of S series, H steps each.

    Attributes:
        as_of: the forecast's `as_of`, as written in paths.
        ids: the S series.
        cutoff: (S,) datetime64[us]; the last bar that the forecast knew.
        y_cutoff: (S,) the price there, in the units of that time.
        quantiles: (S, 3, H) prices at `QUANTILES`.
    """

    as_of: str
    ids: pa.Array
    cutoff: np.ndarray
    y_cutoff: np.ndarray
    quantiles: np.ndarray


def find_past(panel: Panel, storage: Storage, as_of: str) -> list[PastForecast]:
    """Return published forecasts from about 1/3, 2/3, 1 and 2 horizons before `as_of`, the oldest first.

    They may be backfills. One that cannot be read is left out, with a warning.
    """
    prefix = f"{forecasts_folder(panel.name)}/as_of="
    labels = [path.rstrip("/").removeprefix(prefix) for path in storage.folders(forecasts_folder(panel.name))]
    chosen = choose_dates(panel, [label for label in labels if label < as_of], as_of)
    found = [_read(panel, storage, label) for label in chosen]
    return [past for past in found if past is not None]


def choose_dates(panel: Panel, labels: list[str], as_of: str) -> list[str]:
    """Return the earlier dates of `labels` that are nearest to the ages wanted, the oldest first."""
    if not labels:
        return []
    labels, horizon = sorted(labels), panel.forecast.horizon
    instants = np.array([panel.instant(label) for label in (*labels, as_of)])
    *positions, now = panel.calendar.position(instants)
    ages = now - np.array(positions)
    chosen = set()
    for wanted in (share * horizon for share in _AGES):
        nearest = int(np.argmin(np.abs(ages - wanted)))
        if abs(ages[nearest] - wanted) <= max(_TOLERANCE * horizon, 1):
            chosen.add(labels[nearest])
    return sorted(chosen)


def _read(panel: Panel, storage: Storage, label: str) -> PastForecast | None:
    """The forecast that counts for a date; None if there is none, or it cannot be read."""
    published = find_published(storage, as_of_folder(panel.name, label))
    if not published:
        return None
    try:
        table = table_from_bytes(storage.get(published[-1][0] + FORECAST), list(_COLUMNS))
        return _past(label, table.combine_chunks())
    except (StoreError, ValueError) as error:
        _log.warning("report: the forecast as of %s is not drawn: %s", label, error)
        return None


def _past(label: str, table: pa.Table) -> PastForecast:
    """Build from a forecast's rows, sorted by series and step."""
    horizon = pc.max(table["h"]).as_py() or 1
    firsts = table.filter(pc.equal(table["h"], 1))
    quantiles = np.stack([table[name].to_numpy().reshape(-1, horizon) for name in QUANTILES], axis=1)
    if len(firsts) != len(quantiles):
        raise ValueError("its series have different numbers of steps")
    return PastForecast(
        label,
        firsts["unique_id"].combine_chunks(),
        firsts["cutoff"].to_numpy().astype("datetime64[us]"),
        firsts["y_cutoff"].to_numpy(),
        quantiles,
    )
