"""The start of the temporary server, before the commands are imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from deployments import temporary_server_start
from deployments.temporary_server_start import early_server, start_early
from tests.processes import have_ended

NIGHTCAST = Path(sys.executable).parent / "nightcast"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The servers that are started meanwhile. None of them is real."""
    found: list[object] = []

    def start(settings: object) -> object:
        found.append(settings)
        return "a server"

    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(temporary_server_start, "start_server", start)
    monkeypatch.setattr(temporary_server_start, "_early", [])
    return found


@pytest.mark.parametrize("words", ["run ecb_fx", "demo", "backfill ecb_fx --start 2026-10-01"])
@pytest.mark.usefixtures("started")
def test_a_command_with_a_flow_starts_one_server_for_whoever_asks_first(words: str) -> None:
    start_early(words.split())
    assert (early_server(), early_server()) == ("a server", None)


@pytest.mark.parametrize("words", ["", "status", "serve", "run --help", "backfill ecb_fx --dry-run"])
def test_other_commands_start_none(started: list[object], words: str) -> None:
    start_early(words.split())
    assert started == []


def test_with_an_address_in_the_environment_none_starts(
    started: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    start_early(["run", "ecb_fx"])
    assert started == []


def test_a_command_that_fails_before_it_needs_the_server_leaves_no_process(tmp_path: Path) -> None:
    home = str(tmp_path / "prefect")
    environment = {"PREFECT_HOME": home, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [NIGHTCAST, "run", "no_such_panel"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert have_ended("PREFECT_HOME", home)


def test_where_a_profile_names_a_server_the_process_ends_at_once(tmp_path: Path) -> None:
    profile = '[profiles.ours]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n'
    (tmp_path / "profiles.toml").write_text(f'active = "ours"\n{profile}')
    program = [sys.executable, "-m", "deployments.temporary_server_process", "0"]
    environment = {"PREFECT_HOME": str(tmp_path)}
    with subprocess.Popen(program, env=environment, stdin=subprocess.PIPE) as server:
        assert server.wait(60) == 0
    assert not (tmp_path / "prefect.db").exists()
