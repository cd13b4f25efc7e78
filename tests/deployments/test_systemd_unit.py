"""The service file for systemd: systemd takes it, and what it starts starts."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serve_process import NIGHTCAST

UNIT = Path(__file__).parents[2] / "deployments" / "systemd" / "nightcast.service"
INSTALLED = "/opt/nightcast/bin/nightcast"


def values(key: str) -> list[str]:
    lines = (line.partition("=") for line in UNIT.read_text(encoding="utf-8").splitlines())
    return [value for name, _, value in lines if name == key]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_takes_it(tmp_path: Path) -> None:
    # It looks whether the program is there, which here is in another place than on a real machine.
    unit = tmp_path / "nightcast.service"
    unit.write_text(UNIT.read_text(encoding="utf-8").replace(INSTALLED, str(NIGHTCAST)), encoding="utf-8")
    found = subprocess.run(
        ["systemd-analyze", "verify", unit],  # noqa: S607 - wherever it is installed
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (found.returncode, found.stderr) == (0, "")


def test_its_command_is_there_in_its_environment_alone(tmp_path: Path) -> None:
    environment = dict(value.split("=", 1) for value in values("Environment"))
    (command,) = values("ExecStart")
    program, *words = command.split()
    assert program == INSTALLED
    environment["NIGHTCAST_PANELS"] = str(tmp_path)  # where it finds nothing to serve, and says so
    python_path = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    found = subprocess.run(
        [NIGHTCAST, *words],
        cwd=tmp_path,
        env={**environment, **python_path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert found.stderr == f"nightcast: no panels in {tmp_path}; set --panels or NIGHTCAST_PANELS\n"
