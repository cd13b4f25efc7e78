"""Backtest: evaluation of a model on past prices, walking forward over common cutoffs.

At each cutoff, all later bars are removed first. Audit, features, baselines and model see what a run on that
night would have seen.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa

from forecasting import __version__, contract
from forecasting.calendar import BarCalendar
from forecasting.digests import digest_arrays, digest_record
from forecasting.errors import AuditError, ModelError, NightcastError
from forecasting.evaluation import metrics
from forecasting.evaluation.diebold_mariano import DieboldMariano, run_tests
from forecasting.evaluation.predictions import KEY, SCHEMA, ScoredWindows
from forecasting.evaluation.scores import Score, compare, following, forecast_prices
from forecasting.models.baselines import EwmaWalk, RandomWalk
from forecasting.models.forecaster import Forecaster
from forecasting.models.training import TrainedNetwork, load_network, train_network
from forecasting.models.windows import Windows, build_windows
from forecasting.panel import Panel
from forecasting.prices.audit.series import audit_series
from forecasting.prices.audit.stored import usable_bars
from forecasting.prices.bars import Bars
from forecasting.prices.table import PriceTable
from forecasting.progress import Progress, silent
from forecasting.quantiles import COLUMNS
from forecasting.storage import Storage

# Trains a model on bars that end at a cutoff. The second argument is the cutoff.
FitModel = Callable[[Bars, np.datetime64], Forecaster]


@dataclass(frozen=True)
class BacktestPlan:
    """The cutoffs of a backtest.

    Attributes:
        cutoffs: the number of cutoffs.
        stride: the number of bars between two cutoffs.
        refit_every: the number of cutoffs between two trainings; None: train once, at the first cutoff.

    Raises:
        NightcastError: a value is below 1.

    Example:
        >>> BacktestPlan(cutoffs=6, refit_every=2).trainings
        3
    """

    cutoffs: int = 12
    stride: int = 72
    refit_every: int | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and value < 1:
                raise NightcastError(f"a backtest with {name} = {value}; give 1 or more")

    def refits(self, done: int) -> bool:
        """Return whether a model is trained at cutoff number `done`, counted from 0."""
        return done == 0 if self.refit_every is None else done % self.refit_every == 0

    @property
    def trainings(self) -> int:
        """The number of trainings."""
        return sum(map(self.refits, range(self.cutoffs)))


@dataclass(frozen=True)
class BacktestResult:
    """The result of a backtest.

    Attributes:
        plan: the plan of the backtest.
        cutoffs: (C,) datetime64[us], increasing.
        model: the name of the candidate that is not a random walk.
        predictions: one row per candidate, common cutoff, series and step, sorted in that order. The columns
            are those of the forecast contract, and: `candidate`, for whom the row counts (`model` made the
            forecast); `as_of`, the common cutoff (`cutoff` is the last bar of the series by then); `y`, the
            actual price; and `in_sample_change`, by which losses are divided.
        unscored: the number of forecasts, by series and cutoff, without a complete target to score.
    """

    plan: BacktestPlan
    cutoffs: np.ndarray
    model: str
    predictions: pa.Table
    unscored: int

    @property
    def identity(self) -> str:
        """The `forecast_id` of the predictions, a digest of all inputs."""
        return str(self.predictions["forecast_id"][0])

    @cached_property
    def windows(self) -> ScoredWindows:
        """The predictions as arrays by window and step."""
        return ScoredWindows.from_table(self.predictions)

    @cached_property
    def losses(self) -> pd.DataFrame:
        """The losses of each candidate on each window, as described in `scores`."""
        return self.windows.losses

    @cached_property
    def table(self) -> tuple[Score, ...]:
        """The scores of the model and of both random walks."""
        return compare(self.losses)

    @cached_property
    def tests(self) -> tuple[DieboldMariano, ...]:
        """The tests of the model against both random walks, and of the walks against each other."""
        horizon = self.windows.y.shape[1]
        return run_tests(self.losses, self.model, -(-horizon // self.plan.stride))


def backtest(
    panel: Panel,
    bars: Bars,
    calendar: BarCalendar,
    plan: BacktestPlan,
    fit_model: FitModel,
    on_progress: Progress = silent,
) -> BacktestResult:
    """Backtest a model at the last cutoffs, the final one `horizon` bars before the last bar.

    The model forecasts the series that have a complete context. The EWMA walk forecasts shorter series in its
    place. Each series is forecast from its own last bar, and scored on the bars that follow.

    Args:
        panel: the settings.
        bars: all bars, also those after the cutoffs.
        calendar: the calendar of the bars.
        plan: the cutoffs.
        fit_model: trains a model on the bars up to a cutoff.
        on_progress: called at each cutoff.

    Raises:
        AuditError: there are too few bars for that many cutoffs, too few good series at a cutoff, or no
            series with a complete target.
        ModelError: a model cannot be trained.
        ContractError: a model's forecast is not finite, or its quantiles cross.
    """
    cutoffs = common_cutoffs(panel, bars, plan)
    past = Past.of(panel, bars, calendar, backtest_identity(panel, bars, plan))
    parts: list[CutoffPart] = []
    for done, cutoff in enumerate(cutoffs):
        on_progress(done, len(cutoffs), place_of(panel, plan, cutoffs, done))
        night = past.night(cutoff)
        if plan.refits(done):
            fitted = past.fit(night, fit_model)
        parts.append(past.forecast(night, fitted))
    on_progress(len(cutoffs), len(cutoffs), "scored")
    return join_cutoffs(panel, plan, cutoffs, parts)


def join_cutoffs(
    panel: Panel, plan: BacktestPlan, cutoffs: np.ndarray, parts: Sequence["CutoffPart"]
) -> BacktestResult:
    """Make a backtest's result of the predictions at each of its cutoffs, in their order.

    Raises:
        AuditError: no series has a complete target after any cutoff.
    """
    tables = [part.predictions for part in parts if part.predictions.num_rows]
    if not tables:
        raise AuditError(f"no series of panel {panel.name} has a complete target after any cutoff; add bars")
    predictions = pa.concat_tables(tables).sort_by([(column, "ascending") for column in KEY])
    return BacktestResult(plan, cutoffs, parts[-1].model, predictions, sum(part.unscored for part in parts))


def common_cutoffs(panel: Panel, bars: Bars, plan: BacktestPlan) -> np.ndarray:
    """(C,) the plan's cutoffs, increasing, among the times at which any series has a bar.

    Raises:
        AuditError: there are too few bars for that many cutoffs.
    """
    times = np.unique(bars.ds)
    last = len(times) - 1 - panel.forecast.horizon
    first = last - plan.stride * (plan.cutoffs - 1)
    if first < 0:
        raise AuditError(
            f"panel {panel.name} has {len(times)} bars; {plan.cutoffs} cutoffs every {plan.stride} bars, and"
            f" {panel.forecast.horizon} after the last, need {len(times) - first}: ask for fewer --cutoffs"
        )
    cutoffs: np.ndarray = times[first : last + 1 : plan.stride]
    return cutoffs


@dataclass(frozen=True)
class Night:
    """The data of a run at one cutoff.

    Attributes:
        cutoff: the common cutoff.
        network_ids: the series that the model forecasts; the EWMA walk forecasts the others.
        windows: the windows of all these series up to the cutoff.
    """

    cutoff: np.datetime64
    network_ids: tuple[str, ...]
    windows: Windows

    @property
    def network_bars(self) -> Bars:
        """The bars that a model is trained on."""
        return self.windows.bars.select(list(self.network_ids))


@dataclass(frozen=True)
class Fitted:
    """The models that were fitted at one cutoff; the version is the label of that cutoff."""

    model: Forecaster
    walk: EwmaWalk
    version: str


@dataclass(frozen=True)
class CutoffPart:
    """What a backtest finds at one cutoff.

    Attributes:
        predictions: those of the cutoff, like those of `BacktestResult`; they may have no rows.
        model: the name of the candidate that is not a random walk.
        unscored: the number of forecasts without a complete target to score.
    """

    predictions: pa.Table
    model: str
    unscored: int


@dataclass(frozen=True)
class Past:
    """The bars that a backtest looks back on.

    Attributes:
        panel: the settings.
        bars: all bars.
        calendar: their calendar.
        outcome: the windows of all bars, with what followed each.
        identity: the backtest's `forecast_id`.
    """

    panel: Panel
    bars: Bars
    calendar: BarCalendar
    outcome: Windows
    identity: str

    @classmethod
    def of(cls, panel: Panel, bars: Bars, calendar: BarCalendar, identity: str) -> Self:
        """Look back on bars."""
        return cls(panel, bars, calendar, build_windows(panel, bars, calendar), identity)

    def night(self, cutoff: np.datetime64) -> Night:
        """Return what a run at a cutoff would have seen."""
        known = self.bars.until(cutoff)
        audit = audit_series(known, self.panel, self.calendar, cutoff)
        used = known.select([*audit.forecast, *audit.baseline])
        return Night(cutoff, audit.forecast, build_windows(self.panel, used, self.calendar))

    def fit(self, night: Night, fit_model: FitModel) -> Fitted:
        """Fit the models at a cutoff."""
        return Fitted(
            model=fit_model(night.network_bars, night.cutoff),
            walk=EwmaWalk.fit(night.windows, night.cutoff),
            version=self.panel.label(night.cutoff),
        )

    def forecast(self, night: Night, fitted: Fitted) -> CutoffPart:
        """Forecast with each candidate the series of a cutoff whose outcome is known.

        Raises:
            ContractError: a forecast is not finite, or its quantiles cross.
        """
        origins, at = _scored(night, self.outcome)
        unscored = len(night.windows.bars.ids) - len(origins)
        if not len(origins):
            return CutoffPart(SCHEMA.empty_table(), fitted.model.name, unscored)
        labels = {"model_version": fitted.version, "forecast_id": self.identity}
        common = _common_columns(night, self.outcome, origins, at, labels)
        tables = [_table(common, *forecast) for forecast in _forecasts(fitted, night, origins)]
        return CutoffPart(pa.concat_tables(tables), fitted.model.name, unscored)


def backtest_identity(panel: Panel, bars: Bars, plan: BacktestPlan) -> str:
    """Return a digest of all inputs of a backtest."""
    prices = digest_arrays(bars.offsets, bars.ds, bars.y)
    record = {"panel": panel.digest, "ids": bars.ids, "prices": prices, "plan": asdict(plan)}
    return digest_record(record | {"package_version": __version__})


def place_of(panel: Panel, plan: BacktestPlan, cutoffs: np.ndarray, done: int) -> str:
    """Describe the progress of a backtest."""
    place = f"cutoff {done + 1} of {plan.cutoffs}, {panel.label(cutoffs[done])}"
    if not plan.refits(done):
        return place
    return f"{place}, training {sum(map(plan.refits, range(done + 1)))} of {plan.trainings}"


def _names(bars: Bars, positions: np.ndarray) -> np.ndarray:
    """(W,) object; the `unique_id` of each bar."""
    names: np.ndarray = np.array(bars.ids, dtype=object)[bars.series[positions]]
    return names


def _scored(night: Night, outcome: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Return the night's origins that can be scored, and the positions of the same bars in `outcome`."""
    place = dict(zip(outcome.bars.ids, outcome.bars.offsets, strict=False))
    bars = night.windows.bars
    at = np.array([place[name] for name in bars.ids]) + bars.lengths - 1
    # The in-sample change of a series that has not changed yet is 0: no loss can be divided by it.
    scored = outcome.has_target[at] & (night.windows.scale[bars.last] > 0)
    return bars.last[scored], at[scored]


def _forecasts(
    fitted: Fitted, night: Night, origins: np.ndarray
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yield each candidate's name and forecast columns (W x horizon,), sorted by window and step."""
    by_model = np.isin(_names(night.windows.bars, origins), night.network_ids)
    everywhere = np.ones(len(origins), dtype=bool)
    candidates: dict[str, tuple[tuple[Forecaster, np.ndarray], ...]] = {
        fitted.model.name: ((fitted.model, by_model), (fitted.walk, ~by_model)),
        EwmaWalk.name: ((fitted.walk, everywhere),),
        RandomWalk.name: ((RandomWalk(), everywhere),),
    }
    for name, turns in candidates.items():
        points = np.empty((len(origins), night.windows.horizon))
        quantiles = np.empty((*points.shape, len(COLUMNS)))
        model = np.empty(len(origins), dtype=object)
        for forecaster, mine in turns:
            if mine.any():
                points[mine], quantiles[mine] = forecast_prices(forecaster, night.windows, origins[mine])
                model[mine] = forecaster.name
        yield (
            name,
            {
                "y_hat": points.ravel(),
                **{column: quantiles[..., at].ravel() for at, column in enumerate(COLUMNS)},
                "model": np.repeat(model, points.shape[1]),
            },
        )


def _table(common: dict[str, np.ndarray], candidate: str, forecast: dict[str, np.ndarray]) -> pa.Table:
    columns = common | forecast | {"candidate": np.full(len(common["h"]), candidate, dtype=object)}
    table = pa.Table.from_arrays([pa.array(columns[f.name], f.type) for f in SCHEMA], schema=SCHEMA)
    contract.validate(table)
    return table


def _common_columns(
    night: Night, outcome: Windows, origins: np.ndarray, at: np.ndarray, labels: dict[str, str]
) -> dict[str, np.ndarray]:
    """Return the columns that all candidates share, (W x horizon,) each, sorted by window and step."""
    bars, horizon = night.windows.bars, outcome.horizon
    per_window = {
        "unique_id": _names(bars, origins),
        "cutoff": bars.ds[origins],
        "y_cutoff": bars.y[origins],
        "in_sample_change": metrics.in_sample_change(bars.y, bars.series)[origins],
        "as_of": np.full(len(origins), night.cutoff),
        **{name: np.full(len(origins), label, dtype=object) for name, label in labels.items()},
    }
    return {name: np.repeat(column, horizon) for name, column in per_window.items()} | {
        "h": np.tile(np.arange(1, horizon + 1, dtype=np.int16), len(origins)),
        "ds": following(outcome.bars.ds, at, horizon).ravel(),
        "y": following(outcome.bars.y, at, horizon).ravel(),
    }


def backtest_panel(
    panel: Panel, storage: Storage, plan: BacktestPlan, on_progress: Progress = silent
) -> BacktestResult:
    """Backtest the panel's own model on the prices in the store, using the first value of each bar.

    Raises:
        StoreError: the panel has no prices yet.
        AuditError, ModelError, ContractError: see `backtest`.
    """
    bars = first_values(panel, PriceTable(storage, panel))
    cutoffs = common_cutoffs(panel, bars, plan)

    def train(known: Bars, end: np.datetime64) -> Forecaster:
        place = place_of(panel, plan, cutoffs, int(np.searchsorted(cutoffs, end)))

        def tell(done: int, total: int, message: str) -> None:
            on_progress(done, total, f"{place}: {message}")

        network = train_at(panel, known, end, tell)
        return load_network(panel, network.model_bytes, network.state)

    return backtest(panel, bars, panel.calendar, plan, train, on_progress)


def first_values(panel: Panel, prices: PriceTable, known_by: np.datetime64 | None = None) -> Bars:
    """Return the first value of each bar that the panel accepts, of those known by an instant."""
    return usable_bars(prices.first_vintage(values=[panel.forecast.target], known_by=known_by), panel)


def train_at(panel: Panel, known: Bars, end: np.datetime64, on_progress: Progress) -> TrainedNetwork:
    """Train the panel's network on the bars known at a cutoff.

    Raises:
        ModelError: no series has a complete context, or the training fails.
    """
    if not known.ids:
        day = panel.label(end)
        raise ModelError(
            f"no series of panel {panel.name} has a complete context by {day}; ask for fewer --cutoffs"
        )
    return train_network(panel, known, end, on_progress)
