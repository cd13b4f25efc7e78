"""How a long piece of work tells how far it is, without knowing who listens."""

from typing import Protocol


class Progress(Protocol):
    """Called now and then during the work."""

    def __call__(self, done: int, total: int, message: str) -> None:
        """`done` of `total` parts are behind us; `message` is one short line."""


def silent(done: int, total: int, message: str) -> None:
    """Listen to nothing."""
