"""`nightcast serve` as a person starts it: killed, a week missed, started again, ended."""

import re
import signal
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from prefect.runner._cancellation_manager import CancellationManager

from deployments.panel_runner import default_limit
from deployments.recovery import STOPPED
from forecasting.publishing import reader
from tests.conftest import TRAINED_PANEL
from tests.prefect_server import free_port
from tests.serve_process import Serve, serve, wait_until_nothing_runs


def shift_history(database: Path, days: int) -> None:
    """As if all that the server knows had been days earlier."""
    with sqlite3.connect(database) as db:
        for table, columns in {
            "deployment": ["created"],
            "flow_run": ["expected_start_time", "next_scheduled_start_time"],
        }.items():
            for column in columns:
                db.execute(
                    f"UPDATE {table} SET {column} = "  # noqa: S608 - names from above
                    f"strftime('%Y-%m-%d %H:%M:%f000', {column}, '-{days} days')"
                )
        # Else a late run that is started waits for the time that it was scheduled for.
        scheduled = "json_extract(state_details, '$.scheduled_time')"
        earlier = f"strftime('%Y-%m-%dT%H:%M:%fZ', {scheduled}, '-{days} days')"
        db.execute(
            "UPDATE flow_run_state SET state_details = "  # noqa: S608 - as above
            f"json_set(state_details, '$.scheduled_time', {earlier}) WHERE {scheduled} IS NOT NULL"
        )
    db.close()


def runs_made(serving: Serve, deployment: dict[str, Any]) -> int:
    """How many runs there are, once Prefect's scheduler has made the next ones."""
    for _ in range(100):
        if len(serving.runs(deployment)) > 1:
            break
        time.sleep(0.2)
    return len(serving.runs(deployment))


def write_panels(folder: Path, cron: str) -> None:
    """The panel tiny with this schedule, and a bad panel file, which stops nothing else."""
    panels = folder / "panels"
    panels.mkdir()
    (folder / "prices.csv").rename(panels / "prices.csv")
    (panels / "tiny.toml").write_text(f'{TRAINED_PANEL}[schedule]\ncron = "{cron}"\n')
    (panels / "bad.toml").write_text("name = ")


def test_a_missed_week_after_a_kill_runs_once_and_names_the_rest(trained_panel: Path) -> None:
    folder, port = trained_panel.parent, free_port()
    now = datetime.now(UTC)
    cron = f"0 {(now.hour + 12) % 24} * * *"  # never while this runs
    write_panels(folder, cron)

    with serve(folder, port, 1) as first:
        first.wait_for("serving 7 deployments, 5 runs at a time")
        assert "panels/bad.toml: not valid TOML" in first.output.read_text()
        deployment = first.nightly()
        assert [schedule["active"] for schedule in deployment["schedules"]] == [True]
        assert deployment["parameter_openapi_schema"]["properties"]["panel"]["enum"] == ["tiny"]
        pending = {"type": "PENDING"}  # not scheduled, or the runner might be faster than this test
        lost = first.ask(f"deployments/{deployment['id']}/create_flow_run", state=pending)
        first.ask(f"flow_runs/{lost['id']}/set_state", state={"type": "RUNNING"}, force=True)
        made = runs_made(first, deployment) - 1
        assert made > 1
        first.process.kill()
    wait_until_nothing_runs(folder)
    (folder / "panels" / "bad.toml").unlink()  # maintenance would fail and name it
    shift_history(folder / "prefect" / "prefect.db", days=7)

    newest = now.replace(minute=0, second=0, microsecond=0, hour=(now.hour + 12) % 24)
    newest -= timedelta(days=newest > now)
    night = (newest - timedelta(days=1)).date()  # the day whose bar is closed then
    with serve(folder, port, 2) as second:
        second.wait_for(f"tiny {night}: completed after")
        runs = {run["id"]: run for run in second.runs(deployment)}
        states = {run["id"]: run["state"] for run in runs.values()}
        assert states[lost["id"]]["type"] == "CRASHED"
        assert "its process is gone" in states[lost["id"]]["message"]
        (done,) = (run for run in runs.values() if run["state"]["type"] == "COMPLETED")
        assert datetime.fromisoformat(done["expected_start_time"]) == newest
        (message, *others) = [one["message"] for one in states.values() if one["name"] == "Skipped"]
        assert len(others) == made - 1
        command = re.search(
            rf"PREFECT_API_URL={second.api} nightcast backfill tiny --start \S+ --end \S+ "
            rf"--store {folder / 'store'} --panels {folder / 'panels'}",
            message,
        )
        assert command is not None
        assert command[0] in second.output.read_text()
        # Six due times before the newest; a daily bar is closed at the midnight after it.
        days = re.findall(r"\d{4}-\d\d-\d\d", command[0])
        assert days[:2] == [str((newest - timedelta(days=back)).date()) for back in (7, 2)]
        assert [schedule["active"] for schedule in second.nightly()["schedules"]] == [True]
        assert not reader.latest("tiny", str(folder / "store")).empty

        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait(60) == 0
    wait_until_nothing_runs(folder)
    lines = second.output.read_text().splitlines()
    # The freshness run of that week may come before the night's, and finds no forecast yet.
    printed = "\n".join(line for line in lines if "freshness: failed" not in line)
    assert f"tiny {night}: training: step 20/20" in printed
    assert not [word for word in ("Traceback", "Error", "WARNING", "prefect.") if word in printed], printed


def test_a_run_that_the_runner_stops_is_told_from_one_that_a_person_cancels() -> None:
    assert signature(CancellationManager.cancel_all).parameters["state_msg"].default == STOPPED


@pytest.mark.parametrize(("panels", "limit"), [(1, 5), (10, 32)])
def test_a_night_a_backfill_and_a_retraining_of_every_panel_leave_freshness_a_place(
    panels: int, limit: int
) -> None:
    assert default_limit(panels) == limit
