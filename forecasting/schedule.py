"""Due times of nightly runs, from a cron line and a time zone.

Clock changes work as in Debian's cron: a fixed time that the clock skips is due right after the gap, and a
fixed time that the clock shows twice is due once.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_FIELDS = 5  # cronsim also accepts a sixth field, for seconds; in Prefect a sixth field means something else


def check_cron(line: str) -> None:
    """Check that a cron line is valid.

    Raises:
        ValueError: the line is not valid; the message says what to write instead.
    """
    advice = 'write minute, hour, day, month and weekday, such as "30 16 * * 1-5"'
    if len(line.split()) != _FIELDS:
        raise ValueError(f"{line!r} is not a cron line: it must have {_FIELDS} fields; {advice}")
    try:
        CronSim(line, datetime.now(UTC))
    except CronSimError as error:
        raise ValueError(f"{line!r} is not a cron line: {error}; {advice}") from error


def due_times(cron: str, timezone: str, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the due times (UTC) after `after`, up to and including `until`, oldest first.

    >>> day = datetime(2026, 10, 30, tzinfo=UTC)
    >>> [f"{due:%d %H:%M}" for due in due_times("0 6 * * *", "Europe/Berlin", day, day.replace(day=31))]
    ['30 05:00']
    """
    for due in CronSim(cron, after.astimezone(ZoneInfo(timezone))):
        if due > until:
            return
        yield due.astimezone(UTC)


def last_due(cron: str, timezone: str, now: datetime) -> datetime | None:
    """Return the newest due time (UTC) that is not later than `now`; None if there is none."""
    inclusive = now.astimezone(ZoneInfo(timezone)).replace(
        microsecond=1
    )  # without, `now` itself is passed over
    newest = next(CronSim(cron, inclusive, reverse=True), None)
    return newest.astimezone(UTC) if newest else None
