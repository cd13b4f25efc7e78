"""Progress of a long task: log lines and a progress artifact in the Prefect UI."""

import logging
import time
from typing import TYPE_CHECKING, cast

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from tasks.artifacts import artifact_key

if TYPE_CHECKING:
    from uuid import UUID

_log = logging.getLogger(__name__)

# The UI polls every few seconds, and every update is a call to the server.
_SECONDS_BETWEEN_UPDATES = 2.0


class ProgressArtifact:
    """A progress artifact, updated at most every two seconds.

    Args:
        title: the name of the work, one word.
        panel: the panel's name.
    """

    def __init__(self, title: str, panel: str) -> None:
        key = artifact_key(title, panel)
        # The call returns the id itself, because tasks here are not async.
        artifact = create_progress_artifact(0.0, key=key, description=f"{title}, {panel}")
        self._artifact = cast("UUID", artifact)
        self._updated = time.monotonic()

    def move(self, done: int, total: int) -> bool:
        """Update the artifact, unless it was just updated and work remains; return whether it was."""
        if done < total and time.monotonic() - self._updated < _SECONDS_BETWEEN_UPDATES:
            return False
        update_progress_artifact(self._artifact, 100.0 * done / total)
        self._updated = time.monotonic()
        return True


class TaskProgress:
    """A `forecasting.progress.Progress` that logs messages and updates an artifact.

    Args:
        title: the name of the work, one word.
        panel: the panel's name.
    """

    def __init__(self, title: str, panel: str) -> None:
        self._title = title
        self._artifact = ProgressArtifact(title, panel)

    def __call__(self, done: int, total: int, message: str) -> None:
        """Log `message` and update the artifact, unless that was just done and the work is not done."""
        if self._artifact.move(done, total):
            _log.info("%s: %s", self._title, message)
