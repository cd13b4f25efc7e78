"""The scorer: scores published forecasts as the bars that they cover arrive.

Every committed forecast is scored, even if a newer one for the same `as_of` replaces it: whoever reads the
scores chooses among them. Each step is scored once. A source may rescale its past prices, for example after a
split. Scoring therefore reads all prices from the cutoff on as they are now, and converts the arrived price
to the forecast's units by the ratio of the cutoff's price then and now (by their difference with
`transform = "diff"`).
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
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

# Scores in one commit: a month of forecasts of 1,000 series, or one night of 30,000 series; 0.5 GB of memory.
_COMMIT_ROWS = 2_000_000
# If another scorer of the panel commits first, read its scores and try again, for half a minute at most.
_RETRY_ON_CONFLICT = stamina.retry(
    on=CommitFailedError, attempts=10, timeout=None, wait_initial=0.1, wait_max=4, wait_jitter=1
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoreReport(Record):
    """The result of scoring a panel's forecasts.

    Attributes:
        panel: the panel's name.
        forecasts: number of published forecasts.
        open: number of those that were waiting for bars.
        scored: number of scores added, one for each series and step.
        skipped: one sentence for each forecast that could not be scored, with the reason.
    """

    panel: str
    forecasts: int
    open: int
    scored: int
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class OpenForecast:
    """A committed forecast that waits for bars.

    Attributes:
        folder: its folder, with a trailing `/`.
        manifest: its manifest.
        as_of: the manifest's `as_of`, as an instant; likewise `known_at` and `published_at`.
    """

    folder: str
    manifest: Published
    as_of: np.datetime64
    known_at: np.datetime64
    published_at: np.datetime64

    @property
    def id(self) -> str:
        """The forecast's id."""
        return self.manifest.forecast_id


def score_forecasts(panel: Panel, storage: Storage, now: np.datetime64) -> ScoreReport:
    """Score every step of the panel's forecasts whose bar has arrived and that has no score yet.

    Damaged forecasts are skipped and reported. If the process is killed, the scores committed so far stay,
    and the next call continues from there. A series whose bars never arrive keeps its forecast open for one
    more horizon; then the forecast is settled.

    Args:
        panel: the panel to score.
        storage: the store with the forecasts, the prices and the scores.
        now: datetime64, UTC; the scores' `scored_at`.

    Raises:
        StoreError: the store has no prices of the panel, or other writers kept changing the score table.
    """
    found = find_open(panel, storage)
    return report_scores(panel, found, score_open(panel, storage, found.waiting, now))


@dataclass(frozen=True)
class Found:
    """The forecasts of a panel that scoring found.

    Attributes:
        committed: the number of published ones.
        waiting: those that wait for bars, sorted by `as_of`.
        skipped: one sentence for each that cannot be read, with the reason.
    """

    committed: int
    waiting: tuple[OpenForecast, ...]
    skipped: tuple[str, ...]


def find_open(panel: Panel, storage: Storage) -> Found:
    """Find the published forecasts of a panel, and which of them wait for bars."""
    table = ScoreTable.find(storage, panel.name)
    committed, found, skipped = 0, [], []
    for folder in _folders(storage, panel.name):
        if table is not None and table.is_settled(folder.rstrip("/").rsplit("id=", 1)[1]):
            committed += 1
            continue
        data = storage.find(f"{folder}{MANIFEST}")
        if data is None:
            continue  # not committed yet, or its run was killed
        committed += 1
        try:
            found.append(_published(panel, folder, data))
        except (ValueError, NightcastError) as error:
            reason = first_line(error)
            skipped.append(f"{storage.display(folder + MANIFEST)} is damaged ({reason}); publish it again")
    waiting = tuple(sorted(found, key=lambda published: published.as_of))
    return Found(committed, waiting, tuple(skipped))


def score_open(panel: Panel, storage: Storage, waiting: Sequence[OpenForecast], now: np.datetime64) -> "Done":
    """Score forecasts, sorted by `as_of`, in as many commits as it takes.

    Raises:
        StoreError: the store has no prices of the panel, or other writers kept changing the score table.
    """
    done = Done(0, 0, ())
    try:
        while done.taken < len(waiting):
            done += _score_some(panel, storage, waiting[done.taken :], now)
    except CommitFailedError as error:
        raise StoreError(
            f"other runs keep writing scores of panel {panel.name} to {storage.uri} ({error}); "
            f"wait until they end, then run: {command('score', panel, store=storage.uri)}"
        ) from error
    return done


def report_scores(panel: Panel, found: Found, done: "Done") -> ScoreReport:
    """Return the report of a scoring, and log a warning for each forecast that it skipped."""
    skipped = (*found.skipped, *done.skipped)
    for reason in skipped:
        _log.warning("score: %s", reason)
    return ScoreReport(panel.name, found.committed, len(found.waiting), done.rows, skipped)


def _folders(storage: Storage, panel: str) -> list[str]:
    """The folders (with a trailing `/`) of all forecasts, committed or not. Does not list their contents."""
    dates = storage.folders(forecasts_folder(panel))
    return [f"{folder}/" for date in dates for folder in storage.folders(date) if "/id=" in folder]


def _published(panel: Panel, folder: str, data: bytes) -> OpenForecast:
    manifest = Published.from_json(data)
    as_of = panel.instant(manifest.as_of)
    return OpenForecast(folder, manifest, as_of, _utc(manifest.known_at), _utc(manifest.published_at))


@dataclass(frozen=True)
class Done:
    """The result of commits: how many forecasts were processed, how many scores added, what was skipped."""

    taken: int
    rows: int
    skipped: tuple[str, ...]

    def __add__(self, more: "Done") -> "Done":
        return Done(self.taken + more.taken, self.rows + more.rows, self.skipped + more.skipped)


@dataclass(frozen=True)
class Part:
    """The new scores of one forecast.

    Attributes:
        rows: the scores (`SCORES`).
        settled: whether nothing is left to score after them.
        skipped: why the forecast cannot be scored; empty if it can be.
    """

    rows: pa.Table
    settled: bool
    skipped: str = ""


@_RETRY_ON_CONFLICT
def _score_some(panel: Panel, storage: Storage, waiting: Sequence[OpenForecast], now: np.datetime64) -> Done:
    """Score forecasts in order until there are enough scores for a commit."""
    table = ScoreTable.create(storage, panel.name)
    return commit_parts(table, waiting, score_each(panel, storage, waiting, table), now)


def commit_parts(
    table: ScoreTable, waiting: Sequence[OpenForecast], parts: Iterable[Part], now: np.datetime64
) -> Done:
    """Add the scores of forecasts in order, until there are enough for a commit.

    Raises:
        deltalake.exceptions.CommitFailedError: another writer added scores since `table` was read.
    """
    tables: list[pa.Table] = []
    settled: list[str] = []
    skipped: list[str] = []
    taken = rows = 0
    for published, part in zip(waiting, parts, strict=False):
        taken += 1
        if part.skipped:
            skipped.append(part.skipped)
        tables.append(part.rows)
        rows += part.rows.num_rows
        settled += [published.id] * part.settled
        if rows >= _COMMIT_ROWS:
            break
    if rows:
        table.append(pa.concat_tables(tables), settled, now)
    return Done(taken, rows, tuple(skipped))


def score_each(
    panel: Panel, storage: Storage, waiting: Sequence[OpenForecast], table: ScoreTable
) -> Iterator[Part]:
    """Score forecasts, sorted by `as_of`, one after the other, against the scores that the table has.

    Raises:
        StoreError: the store has no prices of the panel.
    """
    arrived = _Arrived.since(panel, storage, waiting[0].as_of)
    known = table.scored([each.id for each in waiting], pa.array(arrived.ids, pa.string()), arrived.begin)
    for number, published in enumerate(waiting):
        if table.is_settled(published.id):  # another scorer settled it meanwhile
            yield Part(SCORES.empty_table(), settled=False)
            continue
        first, stop = np.searchsorted(known, [number * arrived.steps, (number + 1) * arrived.steps])
        try:
            part = _score(panel, storage, published, arrived, known[first:stop])
        except NightcastError as error:
            reason = f"{storage.display(published.folder)} is not scored: {error}"
            part = Part(SCORES.empty_table(), settled=False, skipped=reason)
        yield part


@dataclass(frozen=True)
class _Arrived:
    """The newest prices since the oldest cutoff of the forecasts to score.

    Attributes:
        ids: S series, sorted.
        days: (D,) datetime64[us], sorted; every bar that any series has.
        keys: (N,) int64, sorted; the series and bar of each price, as series * D + bar.
        y: (N,) float64; the prices.
        begin: the oldest bar that was read.
    """

    ids: tuple[str, ...]
    days: np.ndarray
    keys: np.ndarray
    y: np.ndarray
    begin: np.datetime64

    @classmethod
    def since(cls, panel: Panel, storage: Storage, as_of: np.datetime64) -> Self:
        """Read the prices since the oldest cutoff that a forecast made at `as_of` can have.

        A series lags behind `as_of` by `[audit].stale_bars` at most; the audit leaves staler ones out.
        """
        spare = max(panel.audit.stale_bars, panel.forecast.horizon) + 1
        begin = panel.calendar.back(as_of, spare)
        rows = PriceTable(storage, panel).newest_since(begin, [panel.forecast.target])
        bars = usable_bars(rows, panel)
        days, day = np.unique(bars.ds, return_inverse=True)
        return cls(bars.ids, days, bars.series.astype(np.int64) * len(days) + day, bars.y, begin)

    def bars_since(self, as_of: np.datetime64, calendar: BarCalendar) -> int:
        """Number of calendar bars after `as_of`, up to the newest price; 0 without prices.

        Counts backwards from the newest price, because the calendar may end before the forecast's horizon.
        """
        if not len(self.days):
            return 0
        return int(calendar.position(self.days[-1]) - calendar.position(as_of))

    @property
    def steps(self) -> int:
        """Number of `step_numbers` that one forecast can have."""
        return len(self.ids) * (1 << 15)

    @cached_property
    def codes(self) -> pa.Array:
        """The ids as an Arrow array, for look-ups."""
        return pa.array(self.ids, pa.string())

    def prices(self, series: np.ndarray, ds: np.ndarray) -> np.ndarray:
        """(N,) the price of each series (-1 if unknown) at each bar; NaN where there is none."""
        if not len(self.keys):
            return np.full(len(ds), np.nan)
        day = np.minimum(np.searchsorted(self.days, ds), len(self.days) - 1)
        keys = series.astype(np.int64) * len(self.days) + day
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found = (self.keys[place] == keys) & (self.days[day] == ds) & (series >= 0)
        return np.where(found, self.y[place], np.nan)


def _score(
    panel: Panel, storage: Storage, published: OpenForecast, arrived: _Arrived, known: np.ndarray
) -> Part:
    """Score the steps of a forecast that have a price but no score. `known` holds the scored `step_numbers`.

    Raises:
        StoreError: the forecast's bytes are not those that were published.
        ContractError: the forecast breaks the contract.
        ModelError: the random walks cannot be fitted again.
    """
    path = published.folder + FORECAST
    data = storage.get(path)
    if digest_bytes(data) != published.manifest.digest:
        raise StoreError("its digest differs from the one in its manifest; publish it again")
    forecast = contract.from_bytes(data, path)
    series = pc.index_in(forecast["unique_id"], arrived.codes).combine_chunks().fill_null(-1).to_numpy()
    h = forecast["h"].to_numpy()
    y = _in_forecast_units(panel, forecast, series, arrived)
    scored = np.isin(step_numbers(0, series, h, len(arrived.ids)), known % arrived.steps)
    new = np.flatnonzero(np.isfinite(y) & ~scored)
    overdue = arrived.bars_since(published.as_of, panel.calendar) > 2 * int(h.max())
    settled = bool(len(new) + len(known) == forecast.num_rows or overdue)
    if not len(new):
        return Part(SCORES.empty_table(), settled)
    walks = read_walks(panel, storage, published.folder, published.manifest, forecast)
    return Part(_rows(published, forecast.take(new), walks.take(new), y[new]), settled)


def _in_forecast_units(panel: Panel, forecast: pa.Table, series: np.ndarray, arrived: _Arrived) -> np.ndarray:
    """(N,) the price that arrived for each row's bar, in the forecast's units; NaN where none arrived."""
    y = arrived.prices(series, _instants(forecast, "ds"))
    then, now = forecast["y_cutoff"].to_numpy(), arrived.prices(series, _instants(forecast, "cutoff"))
    converted: np.ndarray = y * (then / now) if panel.forecast.transform == "log" else y + (then - now)
    return converted


def _rows(published: OpenForecast, forecast: pa.Table, walks: pa.Table, y: np.ndarray) -> pa.Table:
    """The scores (`SCORES`) of N forecast rows, whose bars arrived at the prices `y` (N,)."""
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
    """A column from an array of numbers, or from one value repeated."""
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
    """Parse an instant of a manifest, ISO 8601 in UTC."""
    return np.datetime64(text.removesuffix("Z").removesuffix("+00:00"), "us")
