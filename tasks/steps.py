"""The steps of a night as Prefect tasks: `forecasting.night` has their order."""

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Task
from prefect.futures import PrefectFuture

from forecasting import night, night_shards
from forecasting.publishing import forecast
from forecasting.reports.report_data import write_report
from forecasting.selection.challenger import is_training_due, load_decision, plan_training, retrain
from forecasting.shards import Shard
from forecasting.storage import Storage
from tasks.charts import draw_charts
from tasks.engine import Engine
from tasks.forecast import fit_walk, forecast_shard, join_shards
from tasks.model import load_model, retrain_model, retraining_is_due
from tasks.publish import find_published, publish
from tasks.report import write_report as write_report_task
from tasks.windows import plan_windows

P = ParamSpec("P")
T = TypeVar("T")

_TASKS: dict[Callable[..., Any], Task[..., Any]] = {
    plan_training: plan_windows,
    is_training_due: retraining_is_due,
    retrain: retrain_model,
    load_decision: load_model,
    night.find_forecast: find_published,
    forecast.fit_walk: fit_walk,
    night_shards.forecast_shard: forecast_shard,
    night_shards.join_shards: join_shards,
    night.draw_charts: draw_charts,
    write_report: write_report_task,
    night.publish: publish,
}


class Tasks:
    """Runs each step of a night as a Prefect task of its own; shards and trainings with an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a step."""
        is_training = step is retrain
        if is_training:
            return cast("T", self._start(step, *args, **kwargs)().result())
        return cast("T", _TASKS[step](*map(_reference, args), **kwargs))

    def each(self, step: Callable[..., None], shards: Sequence[Shard], /, *args: object) -> None:
        """Run a step for each shard, all at once if the engine can; wait until all have ended."""
        states = [wait() for wait in [self._start(step, *args, shard) for shard in shards]]
        for state in states:
            state.result()

    def submit(self, step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> PrefectFuture[T]:
        """Start a step, and return at once."""
        return cast("PrefectFuture[T]", self._engine.submit(_TASKS[step], **_named(step, *args, **kwargs)))

    def _start(self, step: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[[], Any]:
        return self._engine.start(_TASKS[step], **_named(step, *args, **kwargs))


class InsideTask(night.RunInTurn):
    """Runs the steps of a night inside the task that is running, with the log lines of the steps' tasks."""

    def __call__(self, step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a step."""
        return cast("T", _TASKS[step].fn(*map(_reference, args), **kwargs))


def _named(step: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The arguments of a step's task by name."""
    bound = signature(_TASKS[step].fn).bind(*map(_reference, args), **kwargs)
    return dict(bound.arguments)


def _reference(argument: object) -> object:
    """What a task takes for an argument of a step: the store's URI for the store."""
    return argument.uri if isinstance(argument, Storage) else argument
