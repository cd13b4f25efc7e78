"""Panel files that come, change, break and go while `nightcast serve` is at work, on a real server."""

import signal
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from forecasting.models.training_places import training_place
from tests.conftest import write_prices
from tests.prefect_server import free_port
from tests.serve_process import Serve, serve, wait_until_nothing_runs

TRAINING = "[model]\ncontext = 20\nunits = [4, 3]\ntraining_steps = 20\n[retrain]\nholdout = 60\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("follows")
    (folder / "panels").mkdir()
    write_prices(folder / "panels" / "prices.csv", {"AAA": 400, "BBB": 400, "C/C": 400})
    for name in ("moved", "broken"):
        write(folder, name)
    return folder


@pytest.fixture(scope="module")
def serving(folder: Path) -> Iterator[Serve]:
    """One process for all tests; each has panels of its own. One training runs at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setenv("TMPDIR", str(folder))
        patch.setenv("NIGHTCAST_TRAININGS", "1")
        with serve(folder, free_port(), 1) as process:
            process.wait_for("serving 12 deployments, 8 runs at a time")
            yield process
            process.process.send_signal(signal.SIGINT)
            assert process.process.wait(60) == 0
    wait_until_nothing_runs(folder)


def write(folder: Path, name: str, hours: int = 12, model: str = "") -> None:
    """A panel file, due so many hours from now and not before. The default model needs no training."""
    hour = (datetime.now(UTC).hour + hours) % 24
    text = (
        f'name = "{name}"\n[source]\nuri = "prices.csv"\n[forecast]\nhorizon = 5\n'
        f'[schedule]\ncron = "0 {hour} * * *"\n{model}'
    )
    (folder / "panels" / f"{name}.toml").write_text(text)


def line_with(serving: Serve, text: str) -> str:
    (line,) = (line for line in serving.output.read_text().splitlines() if text in line)
    return line


def due_hours(serving: Serve, panel: str) -> set[int]:
    """The hours at which the scheduled runs of a panel are due, once there are some."""
    for _ in range(300):
        runs = serving.runs(serving.nightly(panel))
        due = [run["expected_start_time"] for run in runs if run["auto_scheduled"]]
        if due:
            return {datetime.fromisoformat(one).hour for one in due}
        time.sleep(0.2)
    raise TimeoutError(f"no run of {panel} is scheduled after a minute")


def test_a_new_panel_is_served_and_runs_only_as_itself(serving: Serve, folder: Path) -> None:
    write(folder, "other")
    serving.wait_for("other: new panel; next due")
    deployment = serving.nightly("other")
    assert not deployment["paused"]
    (maintenance,) = serving.read("deployments", flows={"name": {"any_": ["maintenance"]}})
    listed = maintenance["parameter_openapi_schema"]["properties"]["only_panel"]["anyOf"][0]["enum"]
    assert {"other", "moved"} <= set(listed)

    path = f"{serving.api}/deployments/{deployment['id']}/create_flow_run"
    refused = httpx.post(path, json={"parameters": {"panel": "moved"}})
    assert refused.status_code == httpx.codes.CONFLICT
    assert "'moved' is not one of ['other']" in refused.json()["detail"]

    run = serving.ask(f"deployments/{deployment['id']}/create_flow_run", name="by hand", parameters={})
    serving.wait_for("by hand: completed after")
    assert [one["name"] for one in serving.runs(deployment) if one["id"] == run["id"]] == ["by hand"]


def test_a_changed_schedule_replaces_the_runs_that_were_due(serving: Serve, folder: Path) -> None:
    before = due_hours(serving, "moved")
    write(folder, "moved", hours=6)
    serving.wait_for("moved: changed (schedule.cron); next due")
    after = due_hours(serving, "moved")
    assert not before & after


def test_a_file_that_became_bad_leaves_the_last_good_version_running(serving: Serve, folder: Path) -> None:
    (folder / "panels" / "broken.toml").write_text("name = ")
    serving.wait_for("panel broken goes on with its last good version; next due")
    assert "panels/broken.toml: not valid TOML" in line_with(serving, "last good version")
    deployment = serving.nightly("broken")
    serving.ask(f"deployments/{deployment['id']}/create_flow_run", name="in spite of it")
    serving.wait_for("in spite of it: completed after")
    write(folder, "broken")
    serving.wait_for("broken: its panel file is good again; next due")
    assert serving.nightly("broken")["parameters"]["panel"] == "broken"


def test_a_removed_panel_is_paused_while_its_run_ends_and_goes_on_when_it_is_back(
    serving: Serve, folder: Path
) -> None:
    write(folder, "leaves", model=TRAINING)
    serving.wait_for("leaves: new panel; next due")
    deployment = serving.nightly("leaves")
    with training_place("other"):
        serving.ask(f"deployments/{deployment['id']}/create_flow_run", name="long")
        serving.wait_for("long: training: waits for the only place on this machine")
        (folder / "panels" / "leaves.toml").unlink()
        gone = "leaves: its panel file is gone; its deployments are paused until it is back"
        serving.wait_for(gone)
        assert serving.nightly("leaves")["paused"]
        assert "long: completed" not in serving.output.read_text()
    serving.wait_for("long: completed after")

    write(folder, "leaves")
    serving.wait_for("leaves: new panel", times=2)
    assert not serving.nightly("leaves")["paused"]
