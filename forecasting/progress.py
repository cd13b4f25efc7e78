"""Progress callbacks for long-running work."""

from typing import Protocol


class Progress(Protocol):
    """A callback that long-running work calls from time to time."""

    def __call__(self, done: int, total: int, message: str) -> None:
        """Report that `done` of `total` parts are finished; `message` is one short line."""


def silent(done: int, total: int, message: str) -> None:
    """Ignore all progress."""
