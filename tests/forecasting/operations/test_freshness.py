"""Freshness, on dates computed by hand. By default a panel has 60 + 30 minutes for a run."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from forecasting.errors import StaleError, StoreUnavailableError
from forecasting.operations import freshness
from forecasting.operations.freshness import (
    Freshness,
    assess,
    assess_all,
    format_age,
    freshness_rows,
    require_fresh,
)
from forecasting.operations.run_record import RunRecord, write_run_record
from forecasting.panel import Panel
from forecasting.storage import Storage
from tests.published import show_by_hand


def panel(freq: str, calendar: str, cron: str, timezone: str = "UTC", **schedule: float) -> Panel:
    return Panel.model_validate(
        {
            "name": "p",
            "source": {"uri": "prices.csv"},
            "bars": {"freq": freq, "calendar": calendar},
            "schedule": {"cron": cron, "timezone": timezone, **schedule},
        }
    )


Folder = Callable[..., str]
ECB_FX = panel("1D", "ECB", "30 16 * * 1-5", "Europe/Berlin")
COINS = panel("1D", "24/7", "0 6 * * *")
STOCKS = panel("1D", "XNYS", "0 18 * * 1-5", "America/New_York")
HOURLY = panel("1h", "24/7", "5 * * * *")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def folder_of(tmp_path: Path) -> Folder:
    """A function that writes the panel `ECB_FX` under some names and returns their folder."""

    def write(*names: str) -> str:
        for name in names:
            lines = [
                f'name = "{name}"\n[source]\nuri = "prices.csv"\n[bars]\ncalendar = "ECB"\n[schedule]',
                'cron = "30 16 * * 1-5"\ntimezone = "Europe/Berlin"\n',
            ]
            (tmp_path / f"{name}.toml").write_text("\n".join(lines), encoding="utf-8")
        return str(tmp_path)

    return write


def publish(storage: Storage, as_of: str, published_at: str = "2026-01-01T00:00", **facts: Any) -> None:
    given = {"known_at": f"{published_at}+00:00", "published_at": f"{published_at}+00:00", **facts}
    show_by_hand(storage, "p", as_of, **({"model": "stacked_lstm"} | given))


def record(storage: Storage, outcome: str, due: str, ended: str, message: str | None = None) -> None:
    known = {"outcome": outcome, "due_at": f"{due}+00:00", "ended_at": f"{ended}+00:00", "message": message}
    write_run_record(storage, RunRecord(panel="p", flow_run_id="run", **known))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "now", "due", "before"),
    [
        # Thursday 2026-11-19 16:30 Berlin is 15:30 UTC, half an hour after the rate; the run counts at 17:00.
        (ECB_FX, "2026-11-19T16:59", "2026-11-18", "2026-11-17"),
        (ECB_FX, "2026-11-19T17:00", "2026-11-19", "2026-11-18"),
        # Friday's rate is the newest one all weekend, until 90 minutes after Monday's run.
        (ECB_FX, "2026-11-22T12:00", "2026-11-20", "2026-11-19"),
        (ECB_FX, "2026-11-23T16:59", "2026-11-20", "2026-11-19"),
        (ECB_FX, "2026-11-23T17:00", "2026-11-23", "2026-11-20"),
        # Good Friday and Easter Monday (2026-04-03 and -06) are closed: Thursday's rate until Tuesday's run,
        # at 16:30 summer time, 14:30 UTC.
        (ECB_FX, "2026-04-07T15:59", "2026-04-02", "2026-04-01"),
        (ECB_FX, "2026-04-07T16:00", "2026-04-07", "2026-04-02"),
        # Summer time ends on Sunday 2026-10-25: Friday's run is at 14:30 UTC, Monday's at 15:30.
        (ECB_FX, "2026-10-23T16:00", "2026-10-23", "2026-10-22"),
        (ECB_FX, "2026-10-26T16:00", "2026-10-23", "2026-10-22"),
        (ECB_FX, "2026-10-26T17:00", "2026-10-26", "2026-10-23"),
        # A day closes at midnight: at 06:00 yesterday's is the newest, on a Sunday and on 1 January too.
        (COINS, "2026-11-22T07:29", "2026-11-20", "2026-11-19"),
        (COINS, "2026-11-22T07:30", "2026-11-21", "2026-11-20"),
        (COINS, "2027-01-01T12:00", "2026-12-31", "2026-12-30"),
        # 18:00 New York is 23:00 UTC in winter. 2026-11-26 is Thanksgiving; the 27th is a half day.
        (STOCKS, "2026-11-26T00:29", "2026-11-24", "2026-11-23"),
        (STOCKS, "2026-11-26T00:30", "2026-11-25", "2026-11-24"),
        (STOCKS, "2026-11-27T12:00", "2026-11-25", "2026-11-24"),
        (STOCKS, "2026-11-28T00:30", "2026-11-27", "2026-11-25"),
        (STOCKS, "2026-11-30T12:00", "2026-11-27", "2026-11-25"),
        # In summer it is 22:00 UTC: New York's clocks went forward on 2026-03-08.
        (STOCKS, "2026-03-09T23:29", "2026-03-06", "2026-03-05"),
        (STOCKS, "2026-03-09T23:30", "2026-03-09", "2026-03-06"),
        # At 11:05 the bar of 10:00 has closed; that run counts from 12:35 on.
        (HOURLY, "2026-11-22T12:34", "2026-11-22T0900Z", "2026-11-22T0800Z"),
        (HOURLY, "2026-11-22T12:35", "2026-11-22T1000Z", "2026-11-22T0900Z"),
    ],
)
def test_the_forecast_that_is_due_is_fresh_and_the_one_before_is_stale(
    local_storage: Storage, settings: Panel, now: str, due: str, before: str
) -> None:
    publish(local_storage, due)
    found = assess(settings, local_storage, at(now))
    assert (found.state, found.behind, found.reason) == ("fresh", 0, "")

    publish(local_storage, before)
    found = assess(settings, local_storage, at(now))
    assert (found.state, found.behind) == ("stale", 1)
    assert found.line == (
        f"p is stale: its forecast is as of {before}, 1 bar behind, and no run has succeeded since; "
        "check that "
        f"nightcast serve or a worker is running, or run: nightcast run p --store {local_storage.uri}"
    )


def test_a_forecast_later_than_what_is_due_is_not_behind(local_storage: Storage) -> None:
    publish(local_storage, "2026-11-19")  # the run has ended, but did not have to yet
    assert assess(ECB_FX, local_storage, at("2026-11-19T15:32")).behind == 0


def test_a_deadline_takes_the_place_of_the_training_limit(local_storage: Storage) -> None:
    publish(local_storage, "2026-11-18")
    early = panel("1D", "ECB", "30 16 * * 1-5", "Europe/Berlin", deadline_minutes=15)
    assert assess(early, local_storage, at("2026-11-19T16:14")).state == "fresh"  # 15:30 + 15 + 30 minutes
    assert assess(early, local_storage, at("2026-11-19T16:15")).state == "stale"


def test_a_source_may_be_a_bar_late_where_the_run_has_ended(local_storage: Storage) -> None:
    publish(local_storage, "2026-11-18")
    record(local_storage, "nothing new", "2026-11-19T15:30", "2026-11-19T15:31")
    found = assess(ECB_FX, local_storage, at("2026-11-19T18:00"))
    assert (found.state, found.behind, found.notes) == ("fresh", 1, ("its source is 1 bar late",))


def test_a_source_two_bars_late_is_stale_and_says_where_to_look(local_storage: Storage) -> None:
    publish(local_storage, "2026-11-17")
    record(local_storage, "nothing new", "2026-11-19T15:30", "2026-11-19T15:31")
    found = assess(ECB_FX, local_storage, at("2026-11-19T18:00"))
    assert found.reason == (
        "its forecast is as of 2026-11-17, 2 bars behind, although its runs succeed: "
        "does prices.csv get new prices?"
    )


@pytest.mark.parametrize(("as_of", "state"), [("2026-11-22T0955Z", "fresh"), ("2026-11-22T0950Z", "stale")])
def test_a_source_of_short_bars_may_be_an_hour_late(local_storage: Storage, as_of: str, state: str) -> None:
    minutes = panel("5min", "24/7", "0 * * * *")  # the run of 11:00 is to know 10:55, twelve bars are 09:55
    publish(local_storage, as_of)
    record(local_storage, "published", "2026-11-22T11:00", "2026-11-22T11:02")
    assert assess(minutes, local_storage, at("2026-11-22T12:30")).state == state


def test_a_failed_run_is_reported_with_its_message_until_a_forecast_is_published(
    local_storage: Storage,
) -> None:
    publish(local_storage, "2026-11-18", "2026-11-18T15:31")
    record(local_storage, "failed", "2026-11-19T15:30", "2026-11-19T15:31", "no file at prices.csv")
    found = assess(ECB_FX, local_storage, at("2026-11-19T15:40"))
    assert found.line == "p failed: the run due at 2026-11-19 15:30 UTC ended with: no file at prices.csv"

    publish(local_storage, "2026-11-19", "2026-11-19T15:45")  # by hand, so without a run record
    assert assess(ECB_FX, local_storage, at("2026-11-19T18:00")).state == "fresh"


def test_a_panel_is_stale_when_no_run_follows_a_failed_one(local_storage: Storage) -> None:
    publish(local_storage, "2026-11-18", "2026-11-18T15:31")
    record(local_storage, "failed", "2026-11-19T15:30", "2026-11-19T15:31", "no file at prices.csv")
    # Friday's run is due at 15:30 and has 90 minutes.
    assert assess(ECB_FX, local_storage, at("2026-11-20T16:59")).state == "failed"
    found = assess(ECB_FX, local_storage, at("2026-11-20T17:00"))
    assert (found.state, found.behind) == ("stale", 2)
    assert found.notes == ("the run due at 2026-11-19 15:30 UTC ended with: no file at prices.csv",)


def test_a_failed_run_allows_the_source_no_delay(local_storage: Storage) -> None:
    publish(local_storage, "2026-11-18", "2026-11-19T16:00")
    record(local_storage, "failed", "2026-11-19T15:30", "2026-11-19T15:31", "no file at prices.csv")
    assert assess(ECB_FX, local_storage, at("2026-11-19T18:00")).state == "stale"


def test_a_panel_without_a_forecast_names_the_command_that_makes_one(local_storage: Storage) -> None:
    found = assess(ECB_FX, local_storage, at("2026-11-19T18:00"))
    assert found.line == (
        f"p has no forecast: nothing is published yet; run: nightcast run p --store {local_storage.uri}"
    )
    record(local_storage, "failed", "2026-11-19T15:30", "2026-11-19T15:31", "no file at prices.csv")
    found = assess(ECB_FX, local_storage, at("2026-11-19T18:00"))
    assert (
        found.line
        == "p has no forecast: the run due at 2026-11-19 15:30 UTC ended with: no file at prices.csv"
    )


@pytest.mark.parametrize("age", [23, 25])
def test_a_forecast_older_than_the_given_age_is_stale_whatever_the_calendar_says(
    local_storage: Storage, age: int
) -> None:
    publish(local_storage, "2026-11-20", "2026-11-20T15:31")
    now = at("2026-11-20T15:31") + timedelta(hours=age)  # a Saturday: no bar is missing
    found = assess(ECB_FX, local_storage, now, timedelta(hours=24))
    assert found.state == ("fresh" if age < 24 else "stale")
    assert found.behind == 0
    if age > 24:
        assert found.reason == "its forecast, as of 2026-11-20, is 1 d 1 h old, more than 1 d 0 h"


def test_the_publisher_and_facts_that_are_no_faults_are_noted(local_storage: Storage) -> None:
    publish(
        local_storage, "2026-11-20", "2026-11-20T15:31", model="ewma_walk", provisional="the source is late"
    )
    found = assess(ECB_FX, local_storage, at("2026-11-20T16:31"))
    assert (found.model, found.notes) == (
        "ewma_walk",
        ("a baseline publishes instead of a model", "provisional: the source is late"),
    )
    assert (found.published_at, found.age) == (at("2026-11-20T15:31"), timedelta(hours=1))


RUN = b'{"panel": "p", "ended_at": "2026-11-20T15:31:00Z", "flow_run_id": "x", "message": "", "due_at": %b}'
POINTER = (
    b'{"as_of": "2026-11-20", "path": "forecasts/p/as_of=2026-11-20/id=x/forecast.parquet", '
    b'"published_at": "%b"}'
)


@pytest.mark.parametrize(
    ("path", "damage", "reason"),
    [
        (
            "latest/p.json",
            b"junk",
            "is damaged: it names no forecast; the next run replaces it: nightcast run p --store ",
        ),
        ("latest/p.json", b'{"as_of": 5}', "latest/p.json is damaged"),
        ("status/p.json", b"junk", "it is not a run record; remove it, and the next run writes a new one"),
        ("status/p.json", b"[1]", "it is not a run record"),
        ("status/p.json", RUN % b'"2026-11-20", "outcome": "failed"', "it is not a run record"),  # no zone
        ("status/p.json", RUN % b'"at noon", "outcome": "failed"', "it is not a run record"),
        ("status/p.json", RUN % b'5, "outcome": "failed"', "it is not a run record"),
        ("status/p.json", RUN % b'"2026-11-20T15:30:00Z", "outcome": "gone"', "it is not a run record"),
        (
            "latest/p.json",
            POINTER % b"at noon",
            "is damaged: it names no forecast; the next run replaces it: nightcast run p",
        ),
        ("latest/p.json", POINTER % b"2026-11-20T15:31:00", "is damaged: it names no forecast"),
        ("latest/p.json", b"\xff", "is damaged: it names no forecast"),
        (
            "forecasts/p/as_of=2026-11-20/id=x/_manifest.json",
            b"",
            "run: nightcast run p --as-of 2026-11-20 --store ",
        ),
        (
            "forecasts/p/as_of=2026-11-20/id=x/forecast.parquet",
            b"junk",
            "its digest differs from the one in its manifest; run: nightcast run p --as-of 2026-11-20 ",
        ),
        ("latest/p.parquet", b"junk", "the copy of the newest forecast, is missing or damaged; run: "),
    ],
)
def test_damage_is_reported_for_its_panel_alone(
    local_storage: Storage, folder_of: Folder, path: str, damage: bytes, reason: str
) -> None:
    publish(local_storage, "2026-11-20", "2026-11-20T15:31")
    local_storage.put(path, damage)
    damaged, never = assess_all(folder_of("p", "q"), local_storage, at("2026-11-20T16:31"))
    assert damaged.state == "unreadable"
    assert reason in damaged.reason
    assert never.state == "never"


def test_a_pointer_of_another_date_than_it_was_written_with_is_not_fresh(
    local_storage: Storage, folder_of: Folder
) -> None:
    publish(local_storage, "2026-11-20", "2026-11-20T15:31")
    flipped = local_storage.get("latest/p.json").replace(b'"as_of": "2026', b'"as_of": "2826')
    local_storage.put("latest/p.json", flipped)
    (found,) = assess_all(folder_of("p"), local_storage, at("2026-11-20T16:31"))
    assert (found.state, "latest/p.json is damaged" in found.reason) == ("unreadable", True)


def test_a_copy_of_a_later_committed_forecast_is_no_fault(local_storage: Storage) -> None:
    publish(local_storage, "2026-11-20", "2026-11-20T15:31")
    pointer = local_storage.get("latest/p.json")
    publish(local_storage, "2026-11-23", "2026-11-23T15:31")
    local_storage.put("latest/p.json", pointer)  # as before the pointer moves
    assert assess(ECB_FX, local_storage, at("2026-11-20T17:01")).state == "fresh"


def test_a_store_that_does_not_answer_is_reported_in_one_line(
    local_storage: Storage, folder_of: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StoreUnavailableError("the store s3://b does not answer")

    monkeypatch.setattr(Storage, "find", refuse)
    (found,) = assess_all(folder_of("p"), local_storage, at("2026-11-20T16:31"))
    assert found.line == "p cannot be read: the store s3://b does not answer"


def test_an_unforeseen_error_is_reported_for_its_panel_alone(
    local_storage: Storage, folder_of: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Storage, name: str) -> None:
        if name == "p":
            raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(freshness, "read_run_record", fail)
    failed, never = assess_all(folder_of("p", "q"), local_storage, at("2026-11-20T16:31"))
    assert failed.line == (
        "p cannot be read: the check of its freshness failed: ZeroDivisionError: division by zero"
    )
    assert never.state == "never"


def test_a_panel_file_that_cannot_be_loaded_is_reported_for_its_panel_alone(
    local_storage: Storage, tmp_path: Path
) -> None:
    for name, text in {"bad": "name = ", "good": 'name = "good"\n[source]\nuri = "x.csv"\n'}.items():
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    (tmp_path / "other.toml").write_text('name = "good"\n[source]\nuri = "x.csv"\n', encoding="utf-8")
    bad, good, other = assess_all(str(tmp_path), local_storage, at("2026-11-20T16:31"))
    assert bad.line.startswith(f"bad cannot be read: {tmp_path}/bad.toml: not valid TOML")
    assert good.state == "never"
    assert other.line.startswith(f"other cannot be read: {tmp_path}/other.toml: contains the panel 'good'")


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=30), "0 min"),
        (timedelta(minutes=59), "59 min"),
        (timedelta(hours=4, minutes=5), "4 h 5 min"),
        (timedelta(days=3, hours=4, minutes=5), "3 d 4 h"),
    ],
)
def test_an_age_is_formatted_in_its_two_largest_units(age: timedelta, text: str) -> None:
    assert format_age(age) == text


def test_the_error_names_all_panels_that_are_not_fresh_in_one_line() -> None:
    fresh, stale, never = (
        Freshness("a", "fresh"),
        Freshness("b", "stale", "old"),
        Freshness("c", "never", "none"),
    )
    require_fresh([fresh])
    with pytest.raises(StaleError) as error:
        require_fresh([fresh, stale, never])
    assert str(error.value) == "2 of 3 panels are not fresh: b is stale: old; c has no forecast: none"


def test_a_row_has_dashes_for_unknown_values(local_storage: Storage) -> None:
    publish(local_storage, "2026-11-20", "2026-11-20T15:31", model="ewma_walk")
    fresh = assess(ECB_FX, local_storage, at("2026-11-20T18:36"))
    assert freshness_rows([fresh, Freshness("q", "never", "nothing")]) == [
        {
            "panel": "p",
            "state": "fresh",
            "as of": "2026-11-20",
            "bars behind": "0",
            "published at": "2026-11-20 15:31",
            "age": "3 h 5 min",
            "by": "ewma_walk",
            "detail": "a baseline publishes instead of a model",
        },
        {
            "panel": "q",
            "state": "never",
            "detail": "nothing",
            **dict.fromkeys(("as of", "bars behind", "published at", "age", "by"), "\N{EN DASH}"),
        },
    ]
