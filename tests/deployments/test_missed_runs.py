"""What becomes of runs that nothing served when they were due, on plain records."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from deployments import cli
from deployments.missed_runs import Plan, Run, Stage, fill_command, plan_nightly, plan_others
from forecasting.panel import Panel
from forecasting.panel_settings import BarSettings, Schedule, Source

DEPLOYED = datetime(2026, 11, 2, 12, tzinfo=UTC)  # a Monday
NOW = datetime(2026, 11, 6, 20, tzinfo=UTC)  # the Friday
PANEL = Panel(name="fx", source=Source(uri="x.csv"), schedule=Schedule(cron="30 16 * * 1-5"))


def due(day: int) -> datetime:
    return datetime(2026, 11, day, 16, 30, tzinfo=UTC)


def plan(*runs: Run) -> Plan:
    return plan_nightly(PANEL.due_times, DEPLOYED, NOW, runs)


def test_nothing_is_due_before_the_deployment_was_made() -> None:
    assert plan_nightly(PANEL.due_times, NOW, NOW, []) == Plan()


def test_of_a_missed_week_the_newest_due_time_runs_and_the_others_are_named() -> None:
    found = plan(Run("mon", due(2), Stage.OVER))
    assert found == Plan(create=due(6), skipped=(due(3), due(4), due(5)), newest=due(6))


def test_a_run_that_was_made_for_the_newest_due_time_is_kept_and_the_older_ones_are_not() -> None:
    found = plan(*(Run(str(day), due(day), Stage.WAITING) for day in (3, 4, 6, 5)))
    assert found.create is None
    assert set(found.cancel) == {"3", "4", "5"}
    assert found.skipped == (due(2), due(3), due(4), due(5))


@pytest.mark.parametrize("stage", [Stage.OVER, Stage.ALIVE])
def test_a_newest_due_time_that_ran_or_runs_is_not_repeated(stage: Stage) -> None:
    found = plan(Run("fri", due(6), stage), Run("thu", due(5), Stage.WAITING))
    assert (found.create, found.skipped, found.cancel) == (None, (), ("thu",))


def test_a_newest_due_time_whose_run_was_lost_runs_again() -> None:
    found = plan(Run("thu", due(5), Stage.OVER), Run("fri", due(6), Stage.LOST))
    assert (found.create, found.skipped) == (due(6), ())


def test_a_second_run_that_waits_for_the_newest_due_time_is_one_too_many() -> None:
    found = plan(Run("thu", due(5), Stage.OVER), *(Run(name, due(6), Stage.WAITING) for name in "ab"))
    assert (found.create, found.cancel) == (None, ("b",))


def test_what_is_due_later_is_left_alone() -> None:
    found = plan(Run("fri", due(6), Stage.OVER), Run("mon", due(9), Stage.WAITING))
    assert found == Plan(newest=due(6))


def test_of_other_deployments_only_the_newest_late_run_stays() -> None:
    runs = [Run(str(day), due(day), Stage.WAITING) for day in (5, 6, 3, 9)]
    assert set(plan_others(NOW, runs).cancel) == {"3", "5"}


def test_the_backfill_is_for_the_bars_that_were_closed_at_the_due_times(tmp_path: Path) -> None:
    folder = tmp_path / "my panels"
    folder.mkdir()
    (folder / "fx.toml").write_text('name = "fx"\n[source]\nuri = "x.csv"\n', encoding="utf-8")
    panel = Panel.load("fx", folder)
    # At 16:30 UTC the newest closed daily bar of a 24/7 calendar is the day before.
    command = fill_command(panel, plan(Run("mon", due(2), Stage.OVER)), "s3://b/x")
    assert command == (
        f"nightcast backfill fx --start 2026-11-02 --end 2026-11-04 --store s3://b/x --panels '{folder}'"
    )


def test_a_backfill_of_short_bars_is_asked_for_by_dates_as_the_command_takes_them(
    tmp_path: Path,
) -> None:
    hourly = PANEL.model_copy(update={"bars": BarSettings(freq="1h")})
    hours = tuple(datetime(2026, 11, 6, hour, tzinfo=UTC) for hour in (0, 9, 17))
    plan = Plan(skipped=hours[:2], newest=hours[2])
    command = fill_command(hourly, plan, str(tmp_path), "http://127.0.0.1:4200/api")
    # At midnight the newest closed hour is the one that began at 23:00 the day before.
    assert command == (
        "PREFECT_API_URL=http://127.0.0.1:4200/api nightcast backfill fx --start 2026-11-05 --end 2026-11-06 "
        f"--store {tmp_path}"
    )
    assert command is not None
    _, bound, _ = cli.app.parse_args(command.split(" nightcast ")[1].split())
    assert bound.arguments["start"] == date(2026, 11, 5)
    assert bound.arguments["end"] == date(2026, 11, 6)


def test_there_is_nothing_to_fill_where_all_was_for_the_same_bars() -> None:
    hours = [datetime(2026, 11, 6, hour, tzinfo=UTC) for hour in (17, 18, 19)]
    assert fill_command(PANEL, Plan(skipped=tuple(hours[:2]), newest=hours[2]), "s") is None
