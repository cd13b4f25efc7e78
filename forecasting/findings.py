"""Findings: the problems that the audit reports, each with a stable code."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from forecasting.records import Record


class Action(StrEnum):
    """What the audit did about a problem."""

    NOTE = "note"  # reported only
    REPAIR = "repair"  # corrected and reported
    REFUSE = "refuse"  # the rows went to the quarantine instead of the price table
    BASELINE = "baseline"  # a baseline forecasts the series
    LEAVE_OUT = "leave out"  # the series gets no forecast in this run
    STOP = "stop"  # the run stops; the last published forecast stays in place


class Severity(StrEnum):
    """How urgent a finding is."""

    INFO = "info"  # for information
    WARNING = "warning"  # worth a look
    ERROR = "error"  # rows or a series are missing from the forecast
    CRITICAL = "critical"  # there is no new forecast


def name_some(names: Sequence[str], most: int) -> str:
    """Join the first `most` names with commas; "..." marks that there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


@dataclass(frozen=True)
class Rule:
    """A problem that prices can have.

    Attributes:
        code: `P0..` for rows, `P1..` for a series, `P2..` for the panel.
        name: two or three words.
        action: what the audit does about it.
        severity: how urgent it is.
        explanation: what it means, in one line.
    """

    code: str
    name: str
    action: Action
    severity: Severity
    explanation: str


@dataclass(frozen=True)
class Finding(Record):
    """A problem found in one series, or in the whole panel (`unique_id` is empty).

    Attributes:
        rows: how many rows or bars are affected.
        detail: one sentence with the first affected bar and the numbers.
        severity: how urgent it is.
    """

    code: str
    name: str
    action: Action
    unique_id: str
    rows: int
    detail: str
    severity: Severity = Severity.WARNING

    @property
    def is_of_panel(self) -> bool:
        """Whether the finding concerns the panel as a whole."""
        return self.code.startswith("P2")

    @classmethod
    def of(cls, rule: Rule, unique_id: str, rows: int, detail: str) -> "Finding":
        """Create a finding for `rule`."""
        return cls(rule.code, rule.name, rule.action, unique_id, rows, detail, rule.severity)
