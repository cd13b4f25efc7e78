"""The errors that Nightcast raises on purpose.

Every message is one line that says what is wrong, where, and how to fix it. The command line prints it
unchanged.
"""

import re
from collections.abc import Sequence
from typing import Self

from forecasting.findings import Finding

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class NightcastError(Exception):
    """Base class of all Nightcast errors. Each one is a problem that a user can act on."""


class PanelError(NightcastError):
    """A panel file is missing or invalid, or names something that does not exist."""


class SourceError(NightcastError):
    """A price source cannot be read, or its content does not match the panel file."""


class UnclearDecimalError(SourceError):
    """The numbers of a source do not tell whether a point or a comma is their decimal mark."""


class AuditError(NightcastError):
    """The prices are not good enough to forecast from. The last published forecast stays in place.

    Attributes:
        findings: the audit findings behind the error; empty if the message says everything.
    """

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)

    @classmethod
    def of(cls, stop: Finding, others: Sequence[Finding]) -> Self:
        """Create the error for the finding that stops a run, with the other findings of the same audit."""
        return cls(f"{stop.code} {stop.name}: {stop.detail}", [stop, *others])


class StoreError(NightcastError):
    """The store cannot be used, or an object in it is missing or wrong."""


class StoreUnavailableError(StoreError):
    """The store does not answer now. The same may work later."""


class ModelError(NightcastError):
    """A model cannot be trained, loaded, or used for this panel."""


class RequiredSeriesError(NightcastError):
    """A forecast is published, but lacks series that the panel requires."""


class ContractError(NightcastError):
    """A forecast file does not follow the forecast contract."""


class DrawingError(NightcastError):
    """The pictures of a forecast's series cannot be drawn."""


class BackfillError(NightcastError):
    """Some dates of a backfill got no forecast. The forecasts of the other dates are published."""


class ServerError(NightcastError):
    """The Prefect server does not answer, cannot be started, or has another version."""


class EngineError(NightcastError):
    """The Dask cluster cannot be used, or lost the work that it was given."""


class StaleError(NightcastError):
    """A panel's newest forecast is older than it should be."""


def first_line(text: object) -> str:
    """The first line of an error or a message: some libraries append a dump of their state.

    An exception without a message gives the name of its type. Colours are left out.
    """
    lines = _COLOUR.sub("", str(text)).strip().splitlines()
    return lines[0] if lines else type(text).__name__ if isinstance(text, BaseException) else ""


def one_line(text: object) -> str:
    """An error or a message with its lines joined, for messages whose later lines matter too.

    An exception without a message gives the name of its type. Colours are left out.
    """
    return " ".join(_COLOUR.sub("", str(text)).split()) or first_line(text)
