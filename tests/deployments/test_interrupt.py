"""Ctrl-C, as a terminal sends it: SIGINT to every process of the command's group."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.interrupt import MESSAGE
from forecasting.models.training_places import training_place
from tests.conftest import TRAINED_PANEL
from tests.prefect_home import used_home
from tests.processes import have_ended, kill_all

NIGHTCAST = Path(sys.executable).parent / "nightcast"
SECONDS = 120  # far more than any step needs, on a busy machine too


class Command:
    """A command in a process group of its own, with its output in files."""

    def __init__(self, folder: Path, *words: str | Path) -> None:
        self.out, self.err = folder / "out.txt", folder / "err.txt"
        self.home = used_home(folder / "prefect")
        environment = {**os.environ, "PREFECT_HOME": self.home, "HOME": str(folder)}
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                words, cwd=folder, env=environment, stdout=out, stderr=err, start_new_session=True
            )

    def wait_for(self, text: str) -> None:
        for _ in range(SECONDS * 10):
            if text in self.out.read_text():
                return
            assert self.process.poll() is None, self.err.read_text()
            time.sleep(0.1)
        raise TimeoutError(f"no {text!r} in {self.out.read_text()}")

    def interrupt(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def has_left_processes(self) -> bool:
        """Whether processes of the command live on, after a moment for those that end with their parent."""
        return not have_ended("PREFECT_HOME", self.home)


@pytest.fixture
def commands() -> Iterator[list[Command]]:
    """The commands of a test, whose processes are killed at its end."""
    started: list[Command] = []
    yield started
    for command in started:
        kill_all("PREFECT_HOME", command.home)
        command.process.wait()


@pytest.mark.parametrize(
    ("words", "moment"),
    [
        (["run"], "starting a temporary server"),
        (["run"], "training: step"),
        (["backtest", "--cutoffs", "2"], "step 10/"),
        (["backfill", "--start", "2026-10-28", "--end", "2026-10-29"], "backfill: 2 dates are missing"),
    ],
)
def test_a_command_ends_with_one_line_and_leaves_no_process(
    tiny_panel: Path, commands: list[Command], words: list[str], moment: str
) -> None:
    long = TRAINED_PANEL.replace("training_steps = 20", "training_steps = 1000000")
    tiny_panel.write_text(long, encoding="utf-8")
    command = Command(tiny_panel.parent, NIGHTCAST, *words, "tiny.toml")
    commands.append(command)
    command.wait_for(moment)
    command.interrupt()
    assert command.process.wait(SECONDS) == 130
    assert command.err.read_text() == f"{MESSAGE}\n"
    assert not command.has_left_processes()


def test_a_training_that_waits_for_its_place_ends_too(
    trained_panel: Path, commands: list[Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(trained_panel.parent))
    monkeypatch.setenv("TMPDIR", str(trained_panel.parent))
    monkeypatch.setenv("NIGHTCAST_TRAININGS", "1")
    with training_place("other"):
        command = Command(trained_panel.parent, NIGHTCAST, "backtest", "--cutoffs", "2", "tiny.toml")
        commands.append(command)
        command.wait_for("training: waits for the only place on this machine; training now: other (process ")
        command.interrupt()
        assert command.process.wait(SECONDS) == 130
    assert command.err.read_text() == f"{MESSAGE}\n"
    assert not command.has_left_processes()


_PROGRAM = """
import subprocess, sys, time
from deployments.interrupt import ending_at_interrupt

def stop_children():
    open("stopped", "w").close()

with ending_at_interrupt(stop_children):
    {body}
print("after", flush=True)
"""


def program(folder: Path, body: str) -> Command:
    text = _PROGRAM.format(body=body.replace("\n", "\n    "))
    (folder / "program.py").write_text(text, encoding="utf-8")
    return Command(folder, sys.executable, "-P", "program.py")


HANGING = """\
try:
    print("at work", flush=True)
    time.sleep(3600)
finally:
    print("cleaning up", file=sys.stderr, flush=True)
    time.sleep(3600)"""


@pytest.mark.parametrize("times", [1, 2])
def test_a_cleanup_that_hangs_is_cut_short(tmp_path: Path, commands: list[Command], times: int) -> None:
    command = program(tmp_path, HANGING)
    commands.append(command)
    command.wait_for("at work")
    for _ in range(times):
        command.interrupt()
    assert command.process.wait(SECONDS) == 130
    assert command.err.read_text() == f"{MESSAGE}\n"
    assert (tmp_path / "stopped").exists()


def test_a_child_process_is_not_interrupted(tmp_path: Path, commands: list[Command]) -> None:
    child = "import time; time.sleep(1); open('finished', 'w').close()"
    body = (
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        "print('at work', flush=True)\n"
        "child.wait()\n"
    )
    command = program(tmp_path, f"{body}time.sleep(3600)")
    commands.append(command)
    command.wait_for("at work")
    command.interrupt()
    assert command.process.wait(SECONDS) == 130
    assert not command.has_left_processes()
    assert (tmp_path / "finished").exists()


def test_without_an_interrupt_nothing_changes(tmp_path: Path, commands: list[Command]) -> None:
    command = program(tmp_path, "print('at work', flush=True)")
    commands.append(command)
    assert command.process.wait(SECONDS) == 0
    assert command.out.read_text() == "at work\nafter\n"
    assert command.err.read_text() == ""
    assert not (tmp_path / "stopped").exists()
