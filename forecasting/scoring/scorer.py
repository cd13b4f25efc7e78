"""The scorecard: scores of published forecasts, made as the bars that they were about arrive.

Every committed forecast is scored, also those of one `as_of` of which only the newest counts: that is for the
reader of the scores to choose. Each score is made once. From the cutoff on, all prices are of one vintage,
the newest at scoring: what came is brought to the forecast's own units by what the cutoff's price is now.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import stamina
from deltalake.exceptions import CommitFailedError

from forecasting import contract
from forecasting.calendar import BarCalendar
from forecasting.commands import command
from forecasting.digests import digest_bytes
from forecasting.errors import NightcastError, StoreError, first_line
from forecasting.models.baselines import EwmaWalk, RandomWalk
from forecasting.panel import Panel
from forecasting.prices.audit.stored import usable_bars
from forecasting.prices.table import PriceTable
from forecasting.publishing.address import FORECAST, MANIFEST, forecasts_folder
from forecasting.publishing.manifest import Published
from forecasting.publishing.walk_forecasts import CHANGE, read_walks, walk_columns
from forecasting.quantiles import COLUMNS, LEVELS, MEDIAN
from forecasting.records import Record
from forecasting.scoring.score_table import PINBALL, SCORES, ScoreTable, step_numbers
from forecasting.storage import Storage

# Scores in one commit: 1,000 series' forecasts of a month, or one night of 30,000 series. 0.5 GB of memory.
_COMMIT_ROWS = 2_000_000
# Where another scorer of the panel was faster, look again at what it wrote; half a minute in all, at most.
_IN_TURN = stamina.retry(
    on=CommitFailedError, attempts=10, timeout=None, wait_initial=0.1, wait_max=4, wait_jitter=1
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoreReport(Record):
    """What scoring a panel's forecasts came to.

    Attributes:
        panel: the panel's name.
        forecasts: how many are published.
        open: how many of those were waiting for bars.
        scored: how many scores were added, one for each series and step.
        skipped: those that cannot be scored, and why: a sentence each.
    """

    panel: str
    forecasts: int
    open: int
    scored: int
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class _Published:
    """A committed forecast: its folder (with a `/`), its manifest, and the manifest's instants."""

    folder: str
    manifest: Published
    as_of: np.datetime64
    known_at: np.datetime64
    published_at: np.datetime64

    @property
    def id(self) -> str:
        """Its identity."""
        return self.manifest.forecast_id


def score_forecasts(panel: Panel, storage: Storage, now: np.datetime64) -> ScoreReport:
    """Score whatever has arrived of what was forecast and has no score yet.

    A forecast that is damaged is left out and named. Killed at any instant, this leaves whole forecasts
    scored or not; the next time goes on from there. A series that never gets a bar waits until another
    horizon has passed.

    Args:
        panel: whose forecasts.
        storage: where they, the prices and the scores are.
        now: datetime64, UTC; the scores' `scored_at`.

    Raises:
        StoreError: there are no prices, or others kept writing to the scores.
    """
    table = ScoreTable.find(storage, panel.name)
    committed, found, skipped = 0, [], []
    for folder in _folders(storage, panel.name):
        if table is not None and table.is_settled(folder.rstrip("/").rsplit("id=", 1)[1]):
            committed += 1
            continue
        data = storage.find(f"{folder}{MANIFEST}")
        if data is None:
            continue  # on its way, or killed
        committed += 1
        try:
            found.append(_published(panel, folder, data))
        except (ValueError, NightcastError) as error:
            reason = first_line(error)
            skipped.append(f"{storage.display(folder + MANIFEST)} is damaged ({reason}); publish it again")
    if not found:
        return _warned(ScoreReport(panel.name, committed, 0, 0, tuple(skipped)))
    waiting, scored = sorted(found, key=lambda published: published.as_of), 0
    try:
        while waiting:
            done = _score_some(panel, storage, waiting, now)
            waiting, scored = waiting[done.taken :], scored + done.rows
            skipped += done.skipped
    except CommitFailedError as error:
        raise StoreError(
            f"cannot write scores of panel {panel.name} to {storage.uri} ({error}); "
            f"let its other runs end, then run: {command('score', panel, store=storage.uri)}"
        ) from error
    return _warned(ScoreReport(panel.name, committed, len(found), scored, tuple(skipped)))


def _folders(storage: Storage, panel: str) -> list[str]:
    """The folders (with a `/`) of all forecasts, committed or not; no look is taken into them."""
    dates = storage.folders(forecasts_folder(panel))
    return [f"{folder}/" for date in dates for folder in storage.folders(date) if "/id=" in folder]


def _published(panel: Panel, folder: str, data: bytes) -> _Published:
    manifest = Published.from_json(data)
    as_of = panel.instant(manifest.as_of)
    return _Published(folder, manifest, as_of, _utc(manifest.known_at), _utc(manifest.published_at))


def _warned(report: ScoreReport) -> ScoreReport:
    for reason in report.skipped:
        _log.warning("score: %s", reason)
    return report


@dataclass(frozen=True)
class _Done:
    """What one commit came to: how many forecasts were gone through, and how many scores they got."""

    taken: int
    rows: int
    skipped: tuple[str, ...]


@_IN_TURN
def _score_some(panel: Panel, storage: Storage, waiting: Sequence[_Published], now: np.datetime64) -> _Done:
    """Score forecasts, in their order, until there is enough for a commit."""
    table = ScoreTable.create(storage, panel.name)
    arrived = _Arrived.since(panel, storage, waiting[0].as_of)
    known = table.scored([each.id for each in waiting], pa.array(arrived.ids, pa.string()), arrived.begin)
    parts: list[pa.Table] = []
    settled: list[str] = []
    skipped: list[str] = []
    taken = rows = 0
    for number, published in enumerate(waiting):
        taken += 1
        if table.is_settled(published.id):
            continue  # by another scorer, meanwhile
        try:
            first, stop = np.searchsorted(known, [number * arrived.steps, (number + 1) * arrived.steps])
            part = _score(panel, storage, published, arrived, known[first:stop])
        except NightcastError as error:
            skipped.append(f"{storage.display(published.folder)} is not scored: {error}")
            continue
        parts.append(part.rows)
        rows += part.rows.num_rows
        settled += [published.id] * part.settled
        if rows >= _COMMIT_ROWS:
            break
    if rows:
        table.append(pa.concat_tables(parts), settled, now)
    return _Done(taken, rows, tuple(skipped))


@dataclass(frozen=True)
class _Arrived:
    """The newest prices since the oldest cutoff that anything here is about.

    Attributes:
        ids: S series, sorted.
        days: (D,) datetime64[us]; all bars that any of them has, sorted.
        keys: (N,) int64, sorted; the series and day of each price.
        y: (N,) float64; the prices.
        begin: the oldest bar that was asked for.
    """

    ids: tuple[str, ...]
    days: np.ndarray
    keys: np.ndarray
    y: np.ndarray
    begin: np.datetime64

    @classmethod
    def since(cls, panel: Panel, storage: Storage, as_of: np.datetime64) -> Self:
        """The prices since any cutoff that a forecast `as_of` then may have: series were not stale yet."""
        spare = max(panel.audit.stale_bars, panel.forecast.horizon) + 1
        begin = panel.calendar.back(as_of, spare)
        rows = PriceTable(storage, panel).newest_since(begin, [panel.forecast.target])
        bars = usable_bars(rows, panel)
        days, day = np.unique(bars.ds, return_inverse=True)
        return cls(bars.ids, days, bars.series.astype(np.int64) * len(days) + day, bars.y, begin)

    def bars_since(self, as_of: np.datetime64, calendar: BarCalendar) -> int:
        """How many bars of the calendar lie after `as_of`, up to the newest price; 0 without prices.

        Counted backwards from the newest price: the calendar may end before the forecast's horizon does.
        """
        if not len(self.days):
            return 0
        return int(calendar.position(self.days[-1]) - calendar.position(as_of))

    @property
    def steps(self) -> int:
        """How many `step_numbers` one forecast has."""
        return len(self.ids) * (1 << 15)

    @cached_property
    def codes(self) -> pa.Array:
        """The ids, to look series up in."""
        return pa.array(self.ids, pa.string())

    def prices(self, series: np.ndarray, ds: np.ndarray) -> np.ndarray:
        """(N,) the price of each series (-1: not here) at each bar; NaN where there is none."""
        if not len(self.keys):
            return np.full(len(ds), np.nan)
        day = np.minimum(np.searchsorted(self.days, ds), len(self.days) - 1)
        keys = series.astype(np.int64) * len(self.days) + day
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        there = (self.keys[place] == keys) & (self.days[day] == ds) & (series >= 0)
        return np.where(there, self.y[place], np.nan)


@dataclass(frozen=True)
class _Part:
    """The new scores of one forecast, and whether there is nothing more to come."""

    rows: pa.Table
    settled: bool


def _score(
    panel: Panel, storage: Storage, published: _Published, arrived: _Arrived, known: np.ndarray
) -> _Part:
    """The scores that a forecast can get now and has not; `known` are the `step_numbers` it has.

    Raises:
        StoreError: its bytes are not those that were published.
        ContractError: it breaks the contract.
        ModelError: there are no random walks to compare it with.
    """
    path = published.folder + FORECAST
    data = storage.get(path)
    if digest_bytes(data) != published.manifest.digest:
        raise StoreError("its digest is not the one in its manifest; publish it again")
    forecast = contract.from_bytes(data, path)
    series = pc.index_in(forecast["unique_id"], arrived.codes).combine_chunks().fill_null(-1).to_numpy()
    h = forecast["h"].to_numpy()
    y = _in_its_units(panel, forecast, series, arrived)
    scored = np.isin(step_numbers(0, series, h, len(arrived.ids)), known % arrived.steps)
    new = np.flatnonzero(np.isfinite(y) & ~scored)
    overdue = arrived.bars_since(published.as_of, panel.calendar) > 2 * int(h.max())
    settled = bool(len(new) + len(known) == forecast.num_rows or overdue)
    if not len(new):
        return _Part(SCORES.empty_table(), settled)
    walks = read_walks(panel, storage, published.folder, published.manifest, forecast)
    return _Part(_rows(published, forecast.take(new), walks.take(new), y[new]), settled)


def _in_its_units(panel: Panel, forecast: pa.Table, series: np.ndarray, arrived: _Arrived) -> np.ndarray:
    """(N,) the price that came at each row's bar, in the forecast's own units; NaN where none has."""
    came = arrived.prices(series, _instants(forecast, "ds"))
    then, now = forecast["y_cutoff"].to_numpy(), arrived.prices(series, _instants(forecast, "cutoff"))
    units: np.ndarray = came * (then / now) if panel.forecast.transform == "log" else came + (then - now)
    return units


def _rows(published: _Published, forecast: pa.Table, walks: pa.Table, y: np.ndarray) -> pa.Table:
    """The scores (`SCORES`) of rows whose bars came at the prices `y` (N,)."""
    quantiles = _stack(forecast, COLUMNS)
    pinball = _pinball(y, quantiles)
    columns: dict[str, Any] = {
        "origin": published.manifest.origin,
        "as_of": published.as_of,
        "forecast_id": published.id,
        "provisional": not published.manifest.is_final,
        "known_at": published.known_at,
        "published_at": published.published_at,
        "y": y,
        "error": y - quantiles[:, MEDIAN],
        CHANGE: walks[CHANGE].to_numpy(),
        "loss": 2 * pinball.mean(axis=1),
        **dict(zip(PINBALL, pinball.T, strict=True)),
        "inside_80": (quantiles[:, 1] <= y) & (y <= quantiles[:, -2]),
        "inside_90": (quantiles[:, 0] <= y) & (y <= quantiles[:, -1]),
    }
    for name in (RandomWalk.name, EwmaWalk.name):
        columns[f"{name}_loss"] = 2 * _pinball(y, _stack(walks, walk_columns(name))).mean(axis=1)
    arrays = [
        _array(columns[field.name], field.type, len(y)) if field.name in columns else forecast[field.name]
        for field in SCORES
    ]
    return pa.table(arrays, schema=SCORES)


def _array(values: Any, kind: pa.DataType, count: int) -> pa.Array:
    """A column of numbers, or of one value repeated."""
    if isinstance(values, str | bool):
        return pa.repeat(pa.scalar(values, kind), count)
    if isinstance(values, np.datetime64):
        return pa.repeat(pa.scalar(values, pa.timestamp("us")).cast(kind), count)
    return pa.array(values).cast(kind)


def _stack(table: pa.Table, names: Sequence[str]) -> np.ndarray:
    return np.column_stack([table[name].to_numpy() for name in names]).astype(np.float64, copy=False)


def _pinball(y: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """(N, 11) pinball losses, in price units."""
    error = y[:, None] - quantiles
    losses: np.ndarray = np.maximum(LEVELS * error, (LEVELS - 1) * error)
    return losses


def _instants(table: pa.Table, name: str) -> np.ndarray:
    return table[name].to_numpy().astype("datetime64[us]", copy=False)


def _utc(text: str) -> np.datetime64:
    """An instant of a manifest, ISO 8601 in UTC."""
    return np.datetime64(text.removesuffix("Z").removesuffix("+00:00"), "us")
