"""The steps of a night as Prefect tasks: `forecasting.night` has their order."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Task
from prefect.futures import PrefectFuture

from forecasting import night
from forecasting.publishing.forecast import write_forecast
from forecasting.reports.outlook import write_outlook
from forecasting.reports.report_data import write_report
from forecasting.selection.challenger import is_training_due, load_decision, plan_training, retrain
from forecasting.storage import Storage
from tasks.charts import draw_charts
from tasks.forecast import forecast
from tasks.model import load_model, retrain_model, retraining_is_due
from tasks.outlook import write_outlook as write_outlook_task
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
    write_forecast: forecast,
    write_outlook: write_outlook_task,
    night.draw_charts: draw_charts,
    write_report: write_report_task,
    night.publish: publish,
}


def as_task(step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a step of a night as a Prefect task of its own."""
    return cast("T", _TASKS[step](*map(_reference, args), **kwargs))


def submit(step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> PrefectFuture[T]:
    """Start a step of a night as a Prefect task, and return at once."""
    return cast("PrefectFuture[T]", _TASKS[step].submit(*map(_reference, args), **kwargs))


def inside_task(step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a step of a night inside the task that is running, with the log lines of the step's own task."""
    return cast("T", _TASKS[step].fn(*map(_reference, args), **kwargs))


def _reference(argument: object) -> object:
    """What a task takes for an argument of a step: the store's URI for the store."""
    return argument.uri if isinstance(argument, Storage) else argument
