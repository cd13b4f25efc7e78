"""The audit rules and their codes. A code never changes its meaning; `docs/audit.md` explains each."""

from forecasting.findings import Action, Rule, Severity

_NOTE, _REPAIR, _REFUSE = Action.NOTE, Action.REPAIR, Action.REFUSE
_INFO, _WARNING, _ERROR = Severity.INFO, Severity.WARNING, Severity.ERROR

UNREADABLE = Rule(
    "P001", "unreadable", _REFUSE, _ERROR, "a time, number, id, line or file that cannot be read"
)
UNSORTED = Rule(
    "P002", "unsorted rows", _REPAIR, _INFO, "a series' rows were neither oldest nor newest first"
)
DUPLICATE = Rule("P003", "duplicate bar", _REPAIR, _INFO, "two rows of the same bar with the same values")
CONFLICT = Rule("P004", "conflicting bar", _REFUSE, _ERROR, "two rows of the same bar with different values")
NOT_FINITE = Rule(
    "P005", "NaN or infinity", _REFUSE, _ERROR, "a value is not a finite number, or beyond 1e30"
)
NOT_POSITIVE = Rule(
    "P006",
    "zero or negative",
    _REFUSE,
    _ERROR,
    'a price has no logarithm: as the target it is refused, unless transform = "diff"; beside it dropped',
)
HIGH_BELOW_LOW = Rule("P007", "high below low", _REPAIR, _WARNING, "a bar's high is below its low")
OUT_OF_RANGE = Rule(
    "P008", "outside low to high", _REPAIR, _WARNING, "a bar's open or close is not between its low and high"
)
OFF_CALENDAR = Rule("P009", "off the calendar", _REFUSE, _ERROR, "the panel's calendar has no such bar")
IN_THE_FUTURE = Rule(
    "P010", "in the future", _REFUSE, _ERROR, "the bar begins after the one that is forming now"
)
NEGATIVE_VOLUME = Rule("P011", "negative volume", _REFUSE, _ERROR, "a bar's volume is below zero")
UNSAFE_ID = Rule(
    "P012",
    "unsafe id",
    _NOTE,
    _INFO,
    "an id is not a safe file name: it is encoded in file names, and unchanged in the data",
)
CLOCK_CHANGE = Rule(
    "P013",
    "clock change",
    _REFUSE,
    _ERROR,
    "a local time that occurs twice or never at a clock change: give its offset",
)
NO_ZONE = Rule(
    "P014", "no time zone", _NOTE, _WARNING, "neither the times nor the panel name a zone: read as UTC"
)
MIXED_ZONES = Rule(
    "P015", "mixed time zones", _NOTE, _WARNING, "some times name their zone, and others do not"
)
NO_TARGET = Rule("P017", "no target", _REFUSE, _ERROR, "a row has values, but not the one to forecast")

VALUE_DROPPED = Rule(
    "P018", "value dropped", _REPAIR, _WARNING, "a value beside the one to forecast could not be read"
)
UNIX_TIMES = Rule("P019", "Unix times", _NOTE, _INFO, "times are numbers since 1970, and were read as such")
LOCAL_MIDNIGHT = Rule(
    "P020",
    "local midnight",
    _REPAIR,
    _WARNING,
    "daily times are midnights of the calendar's zone saved as UTC: their date there was taken",
)
MAYBE_LOCAL_MIDNIGHT = Rule(
    "P021",
    "maybe local midnight",
    _NOTE,
    _WARNING,
    "daily times may be midnights of another zone: the date was taken as it is written",
)

TOO_SHORT = Rule("P101", "too short", Action.LEAVE_OUT, _ERROR, "a series has too few bars to forecast from")
SHORT_CONTEXT = Rule(
    "P102", "short context", Action.BASELINE, _WARNING, "a series has too few unbroken bars for the network"
)
STALE = Rule(
    "P103", "stale", Action.LEAVE_OUT, _ERROR, "a series ended: delisted, or its source stopped updating it"
)
FLAT = Rule("P104", "flat", Action.LEAVE_OUT, _ERROR, "a series has stopped moving: a peg, or a frozen feed")
GAPS = Rule("P105", "gaps", _NOTE, _INFO, "bars that the calendar has are missing inside a series")
SPIKES = Rule(
    "P106",
    "spikes",
    _NOTE,
    _INFO,
    "changes far larger than the series' usual ones; they may be real, so they are kept",
)
SPLIT = Rule(
    "P107",
    "likely split",
    _NOTE,
    _WARNING,
    "the price moved to a round fraction or multiple of itself and stayed there",
)
ADJUSTED = Rule(
    "P108",
    "adjusted split",
    _REPAIR,
    _WARNING,
    "the prices before a likely split were adjusted to the level after it",
)
READJUSTED = Rule(
    "P109",
    "re-adjusted past",
    _REPAIR,
    _INFO,
    "the source changed a series' whole past; if it multiplied it, older stored bars are multiplied too",
)
NOT_USED = Rule(
    "P110", "stored but not used", _NOTE, _WARNING, "stored bars that the panel's current settings refuse"
)

TOO_MANY_LEFT_OUT = Rule(
    "P201", "too many left out", Action.STOP, Severity.CRITICAL, "most live series cannot be forecast"
)
SOURCE_BEHIND = Rule(
    "P202",
    "source is behind",
    _NOTE,
    _WARNING,
    "the source as a whole ends well before the newest closed bar",
)
SHRANK = Rule(
    "P203", "source shrank", Action.STOP, Severity.CRITICAL, "the source lost most of what it offered before"
)
VANISHED = Rule("P204", "series vanished", _NOTE, _WARNING, "the source no longer offers some live series")
SKIPPED = Rule(
    "P205", "dates skipped", _NOTE, _WARNING, "nightly runs were due for bars that have no forecast"
)

SPACING = Rule(
    "P206",
    "spacing",
    _NOTE,
    _WARNING,
    "the bars lie further apart than [bars].freq says, or never on days that the calendar has",
)
ALL_REFUSED = Rule(
    "P207", "all rows refused", Action.STOP, Severity.CRITICAL, "not one row of the source could be taken"
)
SET_ASIDE = Rule(
    "P208",
    "table set aside",
    _NOTE,
    _WARNING,
    "a damaged table of the store is kept aside and was begun anew",
)

RULES: dict[str, Rule] = {rule.code: rule for rule in list(globals().values()) if isinstance(rule, Rule)}
