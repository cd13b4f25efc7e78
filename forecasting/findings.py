"""Findings: what the audit has to say about prices, each with a code that never changes its meaning."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from forecasting.records import Record


class Action(StrEnum):
    """What was done about it."""

    NOTE = "note"  # nothing but saying so
    REPAIR = "repair"  # put right, and said so
    REFUSE = "refuse"  # the rows are in the quarantine, not in the prices
    BASELINE = "baseline"  # a baseline forecasts the series
    LEAVE_OUT = "leave out"  # the series has no forecast in this run
    STOP = "stop"  # the run stops, the last forecast stands


class Severity(StrEnum):
    """How much a person should care."""

    INFO = "info"  # good to know
    WARNING = "warning"  # somebody should look at it
    ERROR = "error"  # rows or a series did not make it into the forecast
    CRITICAL = "critical"  # there is no new forecast


def name_some(names: Sequence[str], most: int) -> str:
    """The first of the names, at most so many, with dots where there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


@dataclass(frozen=True)
class Rule:
    """One thing that can be wrong with prices.

    Attributes:
        code: `P0..` concerns rows, `P1..` a series, `P2..` the panel.
        name: two or three words.
        action: what is done about it.
        severity: how much a person should care.
        explanation: what it means, one line.
    """

    code: str
    name: str
    action: Action
    severity: Severity
    explanation: str


@dataclass(frozen=True)
class Finding(Record):
    """One rule that one series (or the panel: `unique_id` empty) met.

    Attributes:
        rows: how many rows or bars it concerns.
        detail: one sentence, with the first place and the numbers.
        severity: how much a person should care.
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
        """A finding under `rule`."""
        return cls(rule.code, rule.name, rule.action, unique_id, rows, detail, rule.severity)
