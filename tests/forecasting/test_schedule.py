from datetime import UTC, datetime

import pytest

from forecasting.schedule import check_cron, due_times, last_due

WEEKDAYS = "30 16 * * 1-5"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_due_times_follow_the_zone_through_a_clock_change() -> None:
    # Berlin sets its clocks back on Sunday 2026-10-25, from UTC+2 to UTC+1.
    due = due_times(WEEKDAYS, "Europe/Berlin", at("2026-10-22T14:30"), at("2026-10-27T15:30"))
    assert list(due) == [at("2026-10-23T14:30"), at("2026-10-26T15:30"), at("2026-10-27T15:30")]


@pytest.mark.parametrize(
    ("cron", "day", "utc"),
    [
        ("30 2 * * *", "2026-03-29", "2026-03-29T01:00"),  # there is no 02:30: right after the gap
        ("30 2 * * *", "2026-10-25", "2026-10-25T00:30"),  # there are two: the first one
    ],
)
def test_a_fixed_time_comes_once_on_the_days_of_a_clock_change(cron: str, day: str, utc: str) -> None:
    due = due_times(cron, "Europe/Berlin", at(f"{day}T00:00"), at(f"{day}T20:00"))
    assert list(due) == [at(utc)]


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-10-26T15:30", "2026-10-26T15:30"),
        ("2026-10-26T15:30:00.5", "2026-10-26T15:30"),
        ("2026-10-26T15:29:59.9", "2026-10-23T14:30"),
        ("2026-10-25T12:00", "2026-10-23T14:30"),
    ],
)
def test_the_last_time_due_may_be_now(now: str, due: str) -> None:
    assert last_due(WEEKDAYS, "Europe/Berlin", at(now)) == at(due)


@pytest.mark.parametrize("line", ["", "nightly", "0 6 * *", "61 6 * * *", "* * * * * *", "0 0 31 2 *"])
def test_a_line_that_is_no_cron_says_what_to_write(line: str) -> None:
    with pytest.raises(
        ValueError, match=r"is not a cron line: .*; write minute, hour, day, month and weekday"
    ):
        check_cron(line)
