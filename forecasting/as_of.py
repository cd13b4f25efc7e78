"""How an `as_of` is written, in paths, on the command line and in records."""

from datetime import UTC, datetime

import numpy as np

from forecasting.calendar import is_intraday
from forecasting.errors import NightcastError

_DAILY = "%Y-%m-%d"
_INTRADAY = "%Y-%m-%dT%H%MZ"


def to_instant(when: datetime) -> np.datetime64:
    """`when` as datetime64[us] in UTC; a datetime without a time zone is taken as UTC."""
    if when.tzinfo is not None:
        when = when.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(when, "us")


def to_datetime(instant: np.datetime64) -> datetime:
    """`instant` as a datetime in UTC."""
    return instant.astype("datetime64[us]").item().replace(tzinfo=UTC)


def as_of_label(as_of: np.datetime64, freq: str) -> str:
    """`2026-10-30` for daily bars, `2026-10-30T1400Z` for intraday ones."""
    return to_datetime(as_of).strftime(_INTRADAY if is_intraday(freq) else _DAILY)


def parse_as_of(text: str, freq: str) -> np.datetime64:
    """The `as_of` that `text` names; for intraday bars a bare date means its last instant's bars.

    Raises:
        NightcastError: `text` is neither a date nor, for intraday bars, a UTC time.
    """
    for form in (_INTRADAY, "%Y-%m-%dT%H:%M", _DAILY) if is_intraday(freq) else (_DAILY,):
        try:
            parsed = to_instant(datetime.strptime(text, form).replace(tzinfo=UTC))
        except ValueError:
            continue
        whole_day = is_intraday(freq) and form == _DAILY
        return parsed + np.timedelta64(1439, "m") if whole_day else parsed
    wanted = "a UTC time, YYYY-MM-DDTHHMMZ, or a date" if is_intraday(freq) else "a date, YYYY-MM-DD"
    raise NightcastError(f"as_of {text!r} is not {wanted}")
