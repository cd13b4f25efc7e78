"""Progress of a long task: lines in the log and a progress artifact in the Prefect UI."""

import logging
import time
from typing import TYPE_CHECKING, cast

from prefect.artifacts import create_progress_artifact, update_progress_artifact

if TYPE_CHECKING:
    from uuid import UUID

_log = logging.getLogger(__name__)

# The UI polls every few seconds, and every update is a call to the server.
_SECONDS_BETWEEN_UPDATES = 2.0


def artifact_key(kind: str, panel: str) -> str:
    """The key under which the UI keeps the artifacts of one kind of a panel; keys have no underscores."""
    return f"{kind}-{panel}".replace("_", "-")


class ProgressArtifact:
    """A progress artifact, not moved more often than anyone looks.

    Args:
        title: what is under way, one word.
        panel: the panel's name.
    """

    def __init__(self, title: str, panel: str) -> None:
        key = artifact_key(title, panel)
        # Outside an event loop this gives the id itself, as tasks here are not async.
        artifact = create_progress_artifact(0.0, key=key, description=f"{title}, {panel}")
        self._artifact = cast("UUID", artifact)
        self._updated = time.monotonic()

    def move(self, done: int, total: int) -> bool:
        """Move it, unless that was just done and there is more to come; whether it was moved."""
        if done < total and time.monotonic() - self._updated < _SECONDS_BETWEEN_UPDATES:
            return False
        update_progress_artifact(self._artifact, 100.0 * done / total)
        self._updated = time.monotonic()
        return True


class TaskProgress:
    """A `forecasting.progress.Progress` that logs messages and moves an artifact.

    Args:
        title: what is under way, one word.
        panel: the panel's name.
    """

    def __init__(self, title: str, panel: str) -> None:
        self._title = title
        self._artifact = ProgressArtifact(title, panel)

    def __call__(self, done: int, total: int, message: str) -> None:
        """Log `message` and move the artifact, unless that was just done and there is more to come."""
        if self._artifact.move(done, total):
            _log.info("%s: %s", self._title, message)
