"""How tasks are retried and how long they may take."""

from typing import Any

from obstore.exceptions import BaseError
from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

_MINUTES = 60


def is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether another attempt can help: a fault of network or disk, not one that a person has to mend."""
    failure = state.result(raise_on_failure=False)
    return isinstance(failure, OSError | BaseError | TimeoutError)


# Steps that touch the store or a source. Each is idempotent, so that it can be tried again as it is.
STEP: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": [5, 30],
    "retry_condition_fn": is_transient,
    "timeout_seconds": 30 * _MINUTES,
}
# Training has a time limit of its own, the panel's, which ends its process; it starts over on a rerun only.
TRAINING: dict[str, Any] = {"timeout_seconds": 24 * 60 * _MINUTES}
