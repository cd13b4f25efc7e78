"""Processes: run tasks in parallel processes, because TensorFlow and matplotlib are not thread-safe."""

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State
from prefect.states import Crashed
from prefect.task_runners import ProcessPoolTaskRunner

from forecasting.child_process import SAFE_PATH_VARIABLE

_OUR_LOGGERS = ("forecasting", "tasks")

# Starts a task with parameters and returns a function that waits for the task's final state.
Start = Callable[..., Callable[[], State[Any]]]


@contextmanager
def task_processes(count: int) -> Iterator[Start]:
    """Run tasks in up to `count` spawned processes; with a count of 1, in this process.

    If a process dies, the tasks at work end as Crashed, and the next task gets new processes. All processes
    end with this one, even if it is killed.
    """
    if count == 1:
        yield run_here
        return
    pool = _Pool(count)
    try:
        yield pool.start
    finally:
        pool.close()


def run_here(task: Task[..., Any], **parameters: Any) -> Callable[[], State[Any]]:
    """Run a task with parameters in this process; return a function that returns its final state."""
    state: State[Any] = task(**parameters, return_state=True)
    return lambda: state


class _Pool:
    def __init__(self, count: int) -> None:
        self._count = count
        self._runner: ProcessPoolTaskRunner | None = None

    def start(self, task: Task[..., Any], **parameters: Any) -> Callable[[], State[Any]]:
        if self._runner is None:
            # Spawned processes start as `python -c`, which looks for modules in the working directory.
            os.environ[SAFE_PATH_VARIABLE] = "1"
            levels = {name: logging.getLogger(name).getEffectiveLevel() for name in _OUR_LOGGERS}
            self._runner = ProcessPoolTaskRunner(
                max_workers=self._count, initializer=_begin, initargs=(levels,)
            )
            self._runner.__enter__()
        future = self._runner.submit(task, parameters)

        def final_state() -> State[Any]:
            try:
                future.wait()
            except BrokenProcessPool:
                self.close()
                return Crashed(message="the task's process died: out of memory, or killed")
            return future.state

        return final_state

    def close(self) -> None:
        if self._runner is not None:
            self._runner.__exit__(None, None, None)
            self._runner = None


def _begin(levels: dict[str, int]) -> None:
    """Set the parent's log levels, and end with the parent: a pool's process would wait for work instead."""
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
