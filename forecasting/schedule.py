"""Schedule: when a panel's nightly run is due, from a cron line and a time zone.

Clock changes are as in Debian's cron: a fixed time that a clock leaves out comes right after the gap, and one
that it has twice comes once.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_FIELDS = 5  # cronsim would take a sixth, of seconds, and Prefect another one


def check_cron(line: str) -> None:
    """Check that a cron line can be read.

    Raises:
        ValueError: it cannot; the text says what to write instead.
    """
    advice = 'write minute, hour, day, month and weekday, such as "30 16 * * 1-5"'
    if len(line.split()) != _FIELDS:
        raise ValueError(f"{line!r} is no cron line: it has not {_FIELDS} fields; {advice}")
    try:
        CronSim(line, datetime.now(UTC))
    except CronSimError as error:
        raise ValueError(f"{line!r} is no cron line: {error}; {advice}") from error


def due_times(cron: str, timezone: str, after: datetime, until: datetime) -> Iterator[datetime]:
    """When a run is due, in UTC, oldest first: later than `after`, not later than `until`."""
    for due in CronSim(cron, after.astimezone(ZoneInfo(timezone))):
        if due > until:
            return
        yield due.astimezone(UTC)


def last_due(cron: str, timezone: str, now: datetime) -> datetime | None:
    """The newest time, not later than `now`, at which a run was due, in UTC; None where there was none."""
    inclusive = now.astimezone(ZoneInfo(timezone)).replace(
        microsecond=1
    )  # without, `now` itself is passed over
    newest = next(CronSim(cron, inclusive, reverse=True), None)
    return newest.astimezone(UTC) if newest else None
