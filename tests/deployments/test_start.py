"""The process of the program itself: its start, and its end."""

import subprocess
import sys
import time
from pathlib import Path
from signal import SIGINT

import pytest

from deployments.interrupt import MESSAGE

NIGHTCAST = Path(sys.executable).parent / "nightcast"
# Starts the program with the commands replaced by a module of the test's.
_PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
import deployments, stand_in
sys.modules["deployments.cli"] = deployments.cli = stand_in
from deployments.start import main
main()
"""


def _start(folder: Path, commands: str) -> subprocess.CompletedProcess[str]:
    (folder / "stand_in.py").write_text(commands, encoding="utf-8")
    program = [sys.executable, "-c", _PROGRAM.format(folder=str(folder))]
    return subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)


def test_a_command_that_works_exits_with_zero() -> None:
    assert (
        subprocess.run([NIGHTCAST, "--version"], capture_output=True, timeout=60, check=False).returncode == 0
    )


def test_a_command_that_fails_exits_with_one_and_one_line() -> None:
    done = subprocess.run([NIGHTCAST, "nonsense"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize("code", [0, 1, 130, 141])
def test_the_exit_code_is_that_of_the_command(tmp_path: Path, code: int) -> None:
    assert _start(tmp_path, f"def main(): raise SystemExit({code})").returncode == code


def test_an_error_that_nobody_expects_exits_with_one(tmp_path: Path) -> None:
    done = _start(tmp_path, "def main(): raise OSError('a disk that burns')")
    assert (done.returncode, "a disk that burns" in done.stderr) == (1, True)


def test_what_others_registered_for_the_end_is_called_and_what_is_printed_there_arrives(
    tmp_path: Path,
) -> None:
    registered = "import atexit\ndef main():\n    atexit.register(print, 'goodbye')\n    raise SystemExit(0)"
    assert _start(tmp_path, registered).stdout == "goodbye\n"


def test_the_interpreter_is_not_taken_down(tmp_path: Path) -> None:
    """An object that the interpreter would let go of last shows whether it got that far."""
    late = (
        "import os\nclass Late:\n    def __del__(self, write=os.write): write(1, b'taken down')\n"
        "late = Late()\ndef main(): raise SystemExit(0)"
    )
    assert _start(tmp_path, late).stdout == ""


def test_ctrl_c_during_the_import_of_the_commands_is_one_line(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    slow = f"""
import importlib.abc, sys, time
from pathlib import Path
class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "deployments.cli":
            Path({str(ready)!r}).touch()
            time.sleep(60)
sys.meta_path.insert(0, Slow())
from deployments.start import main
main()
"""
    with subprocess.Popen([sys.executable, "-c", slow], stderr=subprocess.PIPE, text=True) as process:
        for _ in range(600):
            if ready.exists():
                break
            time.sleep(0.05)
        process.send_signal(SIGINT)
        _, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (130, f"{MESSAGE}\n")
