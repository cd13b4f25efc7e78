"""Registration with a real Prefect server, and the file for Prefect's own `prefect deploy`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import get_client
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from deployments import cli, environment
from deployments.prefect_defaults import RUN_ENVIRONMENT
from deployments.prefect_file import prefect_file
from deployments.registration import Pool
from forecasting.errors import NightcastError
from forecasting.panel import Panel
from tests.conftest import TINY_PANEL
from tests.prefect_server import PrefectServer

ROOT = Path(__file__).parent.parent.parent
PREFECT_FILE = ROOT / "deployments" / "prefect.yaml"
# What differs from one registration to the next though nothing has changed.
_PASSING = {"updated", "status", "last_polled", "version_id", "version_info", "version"}


@pytest.fixture(autouse=True)
def address(server: PrefectServer, tmp_path: Path) -> Iterator[str]:
    """The server's API, which commands of this process use."""
    with temporary_settings({PREFECT_API_URL: server.api, PREFECT_HOME: tmp_path / "home"}):
        yield server.api


@pytest.fixture
def panels(tmp_path: Path) -> Path:
    """A folder with two panels, `one` and `two`."""
    folder = tmp_path / "panels"
    folder.mkdir()
    for name in ("one", "two"):
        text = TINY_PANEL.replace('"tiny"', f'"{name}"')
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


def deploy(panels: Path, *words: str, store: str = "s3://bucket/store") -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(["deploy", "--panels", str(panels), "--store", store, *words])
    assert isinstance(end.value.code, int)
    return end.value.code


def ask(method: str, path: str, json: dict[str, Any] | None = None) -> Any:
    """What the server answers; Prefect's client asks again where SQLite is at work for somebody else."""
    with get_client(sync_client=True) as client:
        answer = client.request(method, path, json=json).raise_for_status()
        return answer.json() if answer.content else None


def deployments(pool: str) -> dict[str, dict[str, Any]]:
    """The deployments of `nightly` in a pool, by name, without what changes at every look."""
    asked = {"work_pools": {"name": {"any_": [pool]}}, "flows": {"name": {"any_": ["nightly"]}}}
    found = ask("POST", "/deployments/filter", asked)
    for one in found:
        for schedule in one["schedules"]:
            for name in ("id", "created", "updated"):
                del schedule[name]
        one["pull_steps"] = one["pull_steps"] or []
    return {one["name"]: {k: v for k, v in one.items() if k not in _PASSING} for one in found}


def test_registering_again_changes_nothing(panels: Path) -> None:
    assert deploy(panels, "--pool", "again") == 0
    first = deployments("again")
    assert sorted(first) == ["one", "two"]
    assert first["one"]["entrypoint"] == "flows.nightly.nightly"
    assert first["one"]["parameters"] == {
        "panel": "one",
        "store": "s3://bucket/store",
        "panels": str(panels),
    }
    assert first["one"]["job_variables"] == {"env": RUN_ENVIRONMENT}
    assert [schedule["schedule"]["cron"] for schedule in first["one"]["schedules"]] == [
        Panel.load("one", panels).schedule.cron
    ]
    assert deploy(panels, "--pool", "again") == 0
    assert deployments("again") == first


def test_what_a_person_has_paused_stays_paused(panels: Path) -> None:
    (panels / "one.toml").write_text(TINY_PANEL.replace('"tiny"', '"resting"'), encoding="utf-8")
    (panels / "one.toml").rename(panels / "resting.toml")
    assert deploy(panels, "--pool", "paused") == 0
    resting = ask("GET", "/deployments/name/nightly/resting")
    ask("PATCH", f"/deployments/{resting['id']}/schedules/{resting['schedules'][0]['id']}", {"active": False})
    ask("PATCH", f"/deployments/{resting['id']}", {"paused": True})
    assert deploy(panels, "--pool", "paused") == 0
    found = deployments("paused")
    states = {name: (made["paused"], made["schedules"][0]["active"]) for name, made in found.items()}
    assert states == {"resting": (True, False), "two": (False, True)}


def test_a_panel_that_is_gone_is_named_then_pruned(panels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy(panels, "--pool", "gone") == 0
    (panels / "two.toml").unlink()
    assert deploy(panels, "--pool", "gone") == 0
    assert "nightly/two: no panel has it any more; --prune removes it" in capsys.readouterr().out
    assert sorted(deployments("gone")) == ["one", "two"]
    assert deploy(panels, "--pool", "gone", "--prune") == 0
    assert "nightly/two: removed" in capsys.readouterr().out
    assert sorted(deployments("gone")) == ["one"]


def test_a_bad_panel_file_is_named_and_stops_nothing_else(
    panels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy(panels, "--pool", "broken") == 0
    before = deployments("broken")
    (panels / "two.toml").write_text("name = ", encoding="utf-8")
    text = TINY_PANEL.replace('"tiny"', '"three"')
    (panels / "three.toml").write_text(text, encoding="utf-8")
    capsys.readouterr()
    assert deploy(panels, "--pool", "broken", "--prune") == 1
    out, err = capsys.readouterr()
    assert "  nightly/three\n" in out
    assert "nightly/two" not in out
    (line,) = err.splitlines()
    assert line.startswith(
        "nightcast: the panels two are left as they were, and the others are done: "
        f"{panels / 'two.toml'}: not valid TOML"
    )
    after = deployments("broken")
    assert sorted(after) == ["one", "three", "two"]
    assert after["two"] == before["two"]


def test_a_file_of_deployments_is_written_without_a_bad_panel(
    panels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (panels / "two.toml").write_text("name = ", encoding="utf-8")
    file = tmp_path / "prefect.yaml"
    assert deploy(panels, "--yaml", str(file)) == 1
    assert f"{panels / 'two.toml'}: not valid TOML" in capsys.readouterr().err
    names = {one["name"] for one in yaml.safe_load(file.read_text(encoding="utf-8"))["deployments"]}
    assert names == {"one", "all"}


def test_with_a_webhook_the_server_notifies_it(
    panels: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NIGHTCAST_WEBHOOK", "http://127.0.0.1:9/secret")
    assert deploy(panels) == 0
    out = capsys.readouterr().out
    assert "nightcast notifies: nightcast.run.failed" in out
    assert "secret" not in out
    names = [automation["name"] for automation in ask("post", "/automations/filter", {})]
    assert names.count("nightcast notifies: nightcast.run.failed") == 1


def test_pools_for_containers_are_made_without_their_workers_packages(panels: Path) -> None:
    for kind in ("docker", "kubernetes"):
        assert deploy(panels, "--pool", f"in-{kind}", "--type", kind, "--image", "nightcast:0.1.0") == 0
        pool = ask("GET", f"/work_pools/in-{kind}")
        assert pool["type"] == kind
        assert {"image", "env"} <= set(pool["base_job_template"]["variables"]["properties"])
        made = deployments(f"in-{kind}")["one"]
        assert made["job_variables"] == {"env": RUN_ENVIRONMENT, "image": "nightcast:0.1.0"}
        assert made["parameters"]["panels"] == "/nightcast/deployments/panels"


@pytest.mark.parametrize(
    ("words", "store", "reason"),
    [
        (
            ["--pool", "set", "--type", "docker"],
            "s3://b/s",
            "the work pool set is of type process, not docker",
        ),
        (
            ["--pool", "set", "--image", "x:1"],
            "s3://b/s",
            "the work pool set, of type process, starts no containers",
        ),
        (
            ["--pool", "set", "--image", "x:1"],
            "store",
            "is a folder on this machine, and containers cannot access it",
        ),
        (
            ["--pool", "set", "--secret", "NO_ONE"],
            "s3://b/s",
            "--secret NO_ONE: the server has no Secret block named no-one",
        ),
        (
            ["--pool", "new", "--type", "docker"],
            "s3://b/s",
            "the work pool new, of type docker, starts containers; give --image",
        ),
    ],
)
def test_a_mistake_is_a_line(
    panels: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    store: str,
    reason: str,
) -> None:
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="set", type="process"), overwrite=True)
    assert deploy(panels, *words, store=store) == 1
    err = capsys.readouterr().err
    assert reason in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("named", "reason"),
    [(None, "no Prefect server to register with"), ("http://127.0.0.1:9/api", "does not answer")],
)
def test_a_server_that_is_not_there_is_a_line(
    panels: Path, capsys: pytest.CaptureFixture[str], named: str | None, reason: str
) -> None:
    with temporary_settings({PREFECT_API_URL: named} if named else {}, restore_defaults={PREFECT_API_URL}):
        assert deploy(panels) == 1
    err = capsys.readouterr().err
    assert reason in err
    assert "PREFECT_API_URL" in err
    assert len(err.splitlines()) == 1


def test_the_committed_file_is_made_from_the_bundled_panels() -> None:
    panels, _ = Panel.load_all(environment.BUNDLED_PANELS)
    made = prefect_file(panels, Pool("nightcast"))
    assert PREFECT_FILE.read_text(encoding="utf-8") == made


def test_the_committed_file_is_as_prefect_wants_it() -> None:
    content = yaml.safe_load(PREFECT_FILE.read_text(encoding="utf-8"))
    read = PrefectYamlModel.model_validate(content)
    assert [one.name for one in read.deployments] == [one["name"] for one in content["deployments"]]
    for one in content["deployments"]:
        assert set(one) <= set(type(read.deployments[0]).model_fields)


def test_prefect_deploy_registers_the_same_from_a_file(address: str, panels: Path, tmp_path: Path) -> None:
    assert deploy(panels, "--pool", "file") == 0
    ours = deployments("file")
    path = tmp_path / "prefect.yaml"
    assert deploy(panels, "--pool", "file", "--yaml", str(path)) == 0
    done = prefect_deploy(
        path, address, tmp_path, NIGHTCAST_STORE="s3://bucket/store", NIGHTCAST_PANELS=str(panels)
    )
    assert done.returncode == 0, done.stdout
    theirs = deployments("file")
    for one in (*ours.values(), *theirs.values()):  # what a form asks, and how, such a file cannot say
        del one["parameter_openapi_schema"]
    assert theirs == ours


def test_prefect_deploy_stops_where_the_store_is_not_set(address: str, panels: Path, tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    assert deploy(panels, "--pool", "unset", "--yaml", str(path)) == 0
    assert deploy(panels, "--pool", "unset") == 0
    before = deployments("unset")
    assert prefect_deploy(path, address, tmp_path, NIGHTCAST_PANELS=str(panels)).returncode == 1
    assert deployments("unset") == before


def prefect_deploy(path: Path, address: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTCAST_")}
    return subprocess.run(
        [Path(sys.executable).parent / "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", path],
        env={**bare, "PREFECT_API_URL": address, "PREFECT_HOME": str(home / "prefect"), **more},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_file_never_holds_a_secret(panels: Path) -> None:
    with pytest.raises(NightcastError, match="would write the secrets themselves"):
        prefect_file(Panel.load_all(panels)[0], Pool("night", secrets=("AWS_SECRET_ACCESS_KEY",)))
