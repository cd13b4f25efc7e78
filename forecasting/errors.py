"""The errors that Nightcast raises on purpose.

Every message is one line that names the thing, the place and the fix; the command line prints it as it is.
"""

from collections.abc import Sequence
from typing import Self

from forecasting.findings import Finding


class NightcastError(Exception):
    """Base of all errors below: something a person can act on."""


class PanelError(NightcastError):
    """A panel file is missing, malformed, or asks for something that does not exist."""


class SourceError(NightcastError):
    """A price source cannot be read, or does not hold what the panel says it holds."""


class AuditError(NightcastError):
    """The prices as a whole are not fit to forecast from; the last published forecast stands.

    Attributes:
        findings: what the audit found that led to it, if that was more than one thing.
    """

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)

    @classmethod
    def of(cls, stop: Finding, others: Sequence[Finding]) -> Self:
        """For the finding that stops a run; the others led to it, or came with it."""
        return cls(f"{stop.code} {stop.name}: {stop.detail}", [stop, *others])


class StoreError(NightcastError):
    """The store lacks an object, or holds one that it should not."""


class ModelError(NightcastError):
    """A model cannot be trained, loaded, or used for this panel."""


class ContractError(NightcastError):
    """A forecast breaks the contract that its readers rely on."""


class BackfillError(NightcastError):
    """Some past dates got no forecast; what the others got stands."""


class ServerError(NightcastError):
    """Prefect's server does not answer, cannot be started, or is not the one it should be."""


class StaleError(NightcastError):
    """A panel's newest forecast is not the one that there should be by now."""


def first_line(text: object) -> str:
    """The first line of an error or a message: some libraries append a dump of their state.

    An exception without a message gives the name of its type.
    """
    lines = str(text).strip().splitlines() or [type(text).__name__ if isinstance(text, BaseException) else ""]
    return lines[0]


def one_line(text: object) -> str:
    """An error or a message with its lines joined, for messages whose later lines matter too.

    An exception without a message gives the name of its type.
    """
    return " ".join(str(text).split()) or first_line(text)
