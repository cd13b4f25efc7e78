"""Task options: retries and timeouts."""

from typing import Any

from obstore.exceptions import BaseError
from prefect import Task
from prefect.client.schemas.objects import State, TaskRun

from forecasting.errors import StoreUnavailableError

_MINUTES = 60


def is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a retry can help: a network or disk error, not one that a person has to fix."""
    failure = state.result(raise_on_failure=False)
    return isinstance(failure, OSError | BaseError | TimeoutError | StoreUnavailableError)


# Steps that access the store or a source. Each is idempotent, so it can be retried as it is.
STEP: dict[str, Any] = {
    "retries": 2,
    "retry_delay_seconds": [5, 30],
    "retry_condition_fn": is_transient,
    "timeout_seconds": 30 * _MINUTES,
}
# The panel's own time limit ends the training process. A training is not retried, only rerun.
TRAINING: dict[str, Any] = {"timeout_seconds": 24 * 60 * _MINUTES}
