"""The engine: where pieces of the work are done, this process or a Dask cluster.

Pieces are the shards of a night, trainings, the cutoffs of a backtest, and groups of forecasts to score. A
panel's `[engine].dask` names the cluster's scheduler; `NIGHTCAST_DASK` does for panels that name none. What
is sent are references: the panel, the store's address, names of series. A worker reads the prices itself and
writes what it makes to the store, so both engines write the same bytes.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from prefect import Task
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Crashed

from forecasting import __version__
from forecasting.errors import EngineError, first_line
from forecasting.panel import Panel
from tasks.processes import run_here

if TYPE_CHECKING:
    from prefect_dask.task_runners import DaskTaskRunner, PrefectDaskFuture

DASK = "NIGHTCAST_DASK"
_SECONDS_TO_CONNECT = 30
_SECONDS_BETWEEN_LOOKS = 10
_SECONDS_WITHOUT_WORKERS = 600


class Engine:
    """Works on tasks in this process."""

    # Whether other machines share the work, so that it pays to split it.
    is_cluster = False

    def start(self, task: Task[..., Any], **parameters: Any) -> Callable[[], State[Any]]:
        """Start a task with parameters; return a function that waits for the task's final state."""
        return run_here(task, **parameters)

    def submit(self, task: Task[..., Any], **parameters: Any) -> PrefectFuture[Any]:
        """Start a task in the background."""
        return task.submit(**parameters)


class DaskEngine(Engine):
    """Sends tasks to a Dask cluster.

    Args:
        address: the address of the scheduler, like `tcp://scheduler.example.org:8786`.
    """

    is_cluster = True

    def __init__(self, address: str) -> None:
        self._address = address
        self._runner: DaskTaskRunner | None = None

    def start(self, task: Task[..., Any], **parameters: Any) -> Callable[[], State[Any]]:
        """Send a task to the cluster; return a function that waits for the task's final state.

        Raises:
            EngineError: the cluster cannot be used.
        """
        future = self.submit(task, **parameters)

        def final_state() -> State[Any]:
            self._wait(future)
            if not future.state.is_final():  # Dask gave up on the task; Prefect has not heard of it
                lost = f"the Dask cluster {self._address} lost the task {task.name!r}"
                return Crashed(message=f"{lost}; see the logs of its workers, then run the same again")
            return future.state

        return final_state

    def submit(self, task: Task[..., Any], **parameters: Any) -> PrefectFuture[Any]:
        """Send a task to the cluster.

        Raises:
            EngineError: the cluster cannot be used.
        """
        if self._runner is None:
            self._runner = _connect(self._address)
        # A worker runs tasks in threads, which Prefect's time limit cannot interrupt.
        sent = task.with_options(timeout_seconds=0)
        future: PrefectFuture[Any] = self._runner.submit(sent, parameters)
        return future

    def _wait(self, future: PrefectFuture[Any]) -> None:
        """Wait until Dask has ended a task, or given up on it.

        Raises:
            EngineError: the cluster has had no workers for some minutes.
        """
        with_workers = time.monotonic()
        work = cast("PrefectDaskFuture[Any]", future).wrapped_future
        while not work.done():  # type: ignore[no-untyped-call] # Dask gives it no types
            future.wait(timeout=_SECONDS_BETWEEN_LOOKS)
            if cast("DaskTaskRunner", self._runner).client.scheduler_info(n_workers=1)["workers"]:
                with_workers = time.monotonic()
            elif time.monotonic() - with_workers > _SECONDS_WITHOUT_WORKERS:
                raise EngineError(
                    f"the Dask cluster {self._address} has had no workers for "
                    f"{_SECONDS_WITHOUT_WORKERS} s; start some: dask worker {self._address}"
                )
        future.wait()

    def close(self) -> None:
        """Leave the cluster, which goes on running."""
        if self._runner is not None:
            self._runner.__exit__(None, None, None)
            self._runner = None


@contextmanager
def open_engine(panel: Panel) -> Iterator[Engine]:
    """Open the engine of a panel. A cluster is connected to when the first task is sent there."""
    address = panel.engine.dask or os.environ.get(DASK, "")
    if not address:
        yield Engine()
        return
    engine = DaskEngine(address)
    try:
        yield engine
    finally:
        engine.close()


def _connect(address: str) -> "DaskTaskRunner":
    """Connect to a cluster whose workers run this version of the package.

    Raises:
        EngineError: it does not answer, has no workers, or runs another version.
    """
    try:
        from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415 - an extra, and it takes a second
    except ImportError as error:
        raise EngineError(
            f"the engine {address} needs Dask; install it: pip install 'nightcast[dask]'"
        ) from error
    runner = DaskTaskRunner(address=address, client_kwargs={"timeout": _SECONDS_TO_CONNECT})
    runner.__enter__()  # type: ignore[no-untyped-call] # prefect-dask gives it no types
    try:
        versions = runner.client.run(_version)
    except (OSError, TimeoutError, ImportError) as error:
        runner.__exit__(None, None, None)
        raise EngineError(
            f"the Dask scheduler {address} cannot be used ({first_line(error)}): start it and workers with "
            f"this version of nightcast, or remove [engine].dask and {DASK} to work without it"
        ) from error
    wrong = {worker: version for worker, version in versions.items() if version != __version__}
    if wrong or not versions:
        runner.__exit__(None, None, None)
        what = ", ".join(f"{worker} has {version}" for worker, version in sorted(wrong.items()))
        raise EngineError(
            f"the Dask cluster {address} has no workers; start some: dask worker {address}"
            if not versions
            else f"workers of the Dask cluster {address} run another nightcast than {__version__} ({what}); "
            "start them again with this version"
        )
    return runner


def _version() -> str:
    return __version__
