"""The table of codes. A code never changes its meaning; `docs/prices.md` explains each."""

from forecasting.findings import Action, Rule

UNREADABLE = Rule("P001", "unreadable", Action.REFUSE)
UNSORTED = Rule("P002", "unsorted rows", Action.REPAIR)
DUPLICATE = Rule("P003", "duplicate bar", Action.REPAIR)
CONFLICT = Rule("P004", "conflicting bar", Action.REFUSE)
NOT_FINITE = Rule("P005", "NaN or infinity", Action.REFUSE)
NOT_POSITIVE = Rule("P006", "zero or negative", Action.REFUSE)
HIGH_BELOW_LOW = Rule("P007", "high below low", Action.REFUSE)
OUT_OF_RANGE = Rule("P008", "outside low to high", Action.REFUSE)
OFF_CALENDAR = Rule("P009", "off the calendar", Action.REFUSE)
IN_THE_FUTURE = Rule("P010", "in the future", Action.REFUSE)

TOO_SHORT = Rule("P101", "too short", Action.LEAVE_OUT)
SHORT_CONTEXT = Rule("P102", "short context", Action.BASELINE)
STALE = Rule("P103", "stale", Action.LEAVE_OUT)
FLAT = Rule("P104", "flat", Action.LEAVE_OUT)
GAPS = Rule("P105", "gaps", Action.NOTE)

TOO_MANY_LEFT_OUT = Rule("P201", "too many left out", Action.STOP)
SOURCE_BEHIND = Rule("P202", "source is behind", Action.NOTE)

RULES: dict[str, Rule] = {
    rule.code: rule
    for rule in (
        UNREADABLE,
        UNSORTED,
        DUPLICATE,
        CONFLICT,
        NOT_FINITE,
        NOT_POSITIVE,
        HIGH_BELOW_LOW,
        OUT_OF_RANGE,
        OFF_CALENDAR,
        IN_THE_FUTURE,
        TOO_SHORT,
        SHORT_CONTEXT,
        STALE,
        FLAT,
        GAPS,
        TOO_MANY_LEFT_OUT,
        SOURCE_BEHIND,
    )
}
