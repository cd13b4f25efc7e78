"""Labels of an `as_of` date or time, as used in paths, on the command line and in records."""

from datetime import UTC, datetime

import numpy as np

from forecasting.errors import NightcastError

_DAILY = "%Y-%m-%d"
_INTRADAY = "%Y-%m-%dT%H%MZ"


def to_instant(when: datetime) -> np.datetime64:
    """Convert a datetime to datetime64[us] in UTC. A datetime without a time zone is read as UTC."""
    if when.tzinfo is not None:
        when = when.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(when, "us")


def to_datetime(instant: np.datetime64) -> datetime:
    """Convert a datetime64 (UTC) to a datetime with the time zone UTC."""
    return instant.astype("datetime64[us]").item().replace(tzinfo=UTC)


def as_of_label(as_of: np.datetime64, freq: str) -> str:
    """Format an instant as a label.

    >>> as_of_label(np.datetime64("2026-10-30"), "1D")
    '2026-10-30'
    >>> as_of_label(np.datetime64("2026-10-30T14:00"), "1h")
    '2026-10-30T1400Z'
    """
    return to_datetime(as_of).strftime(_INTRADAY if _is_intraday(freq) else _DAILY)


def parse_as_of(text: str, freq: str) -> np.datetime64:
    """Parse a label. For intraday bars, a date without a time means the last minute of that day (UTC).

    >>> parse_as_of("2026-10-30T1400Z", "1h")
    np.datetime64('2026-10-30T14:00:00.000000')
    >>> parse_as_of("2026-10-30", "1h")
    np.datetime64('2026-10-30T23:59:00.000000')

    Raises:
        NightcastError: `text` is neither a date nor, for intraday bars, a UTC time.
    """
    for form in (_INTRADAY, "%Y-%m-%dT%H:%M", _DAILY) if _is_intraday(freq) else (_DAILY,):
        try:
            parsed = to_instant(datetime.strptime(text, form).replace(tzinfo=UTC))
        except ValueError:
            continue
        whole_day = _is_intraday(freq) and form == _DAILY
        return parsed + np.timedelta64(1439, "m") if whole_day else parsed
    wanted = "a UTC time, YYYY-MM-DDTHHMMZ, or a date" if _is_intraday(freq) else "a date, YYYY-MM-DD"
    raise NightcastError(f"as_of {text!r} is not {wanted}")


def _is_intraday(freq: str) -> bool:
    from forecasting.calendar import is_intraday  # noqa: PLC0415 - takes a second; to draw needs none

    return is_intraday(freq)
