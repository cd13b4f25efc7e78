"""Places for trainings, taken by processes that do not train."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from forecasting.errors import ModelError
from forecasting.models import training, training_places
from forecasting.models.training_places import MEGABYTES_OF_A_TRAINING, allowed_trainings, training_place
from forecasting.progress import silent
from tests.forecasting.models.conftest import END, make_bars, make_panel

PATIENCE = 60.0

# Takes a place, says so, and holds it until its standard input ends.
HOLDER = """
import logging, os, subprocess, sys
from forecasting.models import training_places
training_places._ASK_AGAIN_SECONDS = 0.02
logging.basicConfig(level="INFO", format="%(message)s", stream=sys.stdout)
with training_places.training_place(sys.argv[1]) as place:
    print("has it", flush=True)
    {body}
"""
HOLD = "sys.stdin.read()"
# As a training process does, another process inherits the place. It ends when its standard input does.
WITH_CHILD = """
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], pass_fds=(place,))
    print("has a child", flush=True)
    child.wait()
"""
# Whoever is inside leaves a file there meanwhile, and counts the files.
COUNT = """
    import pathlib, time
    own = pathlib.Path(sys.argv[2]) / str(os.getpid())
    own.touch()
    time.sleep(0.05)
    print(len(list(own.parent.iterdir())))
    own.unlink()
"""


class Holder:
    """A process that takes a place."""

    def __init__(self, folder: Path, name: str, *more: str, body: str = HOLD) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER.format(body=body), name, *more],
            env={**os.environ, "TMPDIR": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> str:
        """Close its standard input; what it prints until it has ended."""
        return self.process.communicate(timeout=PATIENCE)[0]


@pytest.fixture(autouse=True)
def one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Places of this test alone: one, unless the test says otherwise."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("NIGHTCAST_TRAININGS", "1")


@pytest.fixture
def holders() -> Iterator[list[Holder]]:
    """The processes of a test, which are killed at its end."""
    started: list[Holder] = []
    yield started
    for holder in started:
        holder.process.kill()
        holder.process.communicate()


def hold(started: list[Holder], folder: Path, name: str, **how: str) -> Holder:
    started.append(Holder(folder, name, **how))
    return started[-1]


def test_the_second_of_two_processes_says_whom_it_waits_for_and_comes_next(
    tmp_path: Path, holders: list[Holder]
) -> None:
    first = hold(holders, tmp_path, "alpha")
    assert first.says() == "has it"
    second = hold(holders, tmp_path, "beta")
    who = f"alpha (process {first.process.pid})"
    assert second.says() == f"training: waits for the only place on this machine; training now: {who}"
    first.end()
    assert second.says() == "has it"
    assert second.end() == ""  # it said only once that it waits


def test_with_two_places_both_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setenv("NIGHTCAST_TRAININGS", "2")
    with ExitStack() as held:
        held.enter_context(training_place("alpha"))
        second = held.enter_context(ExitStack())
        second.enter_context(training_place("beta"))
        assert caplog.messages == []
        monkeypatch.setattr(training_places.time, "sleep", lambda _: second.close())
        held.enter_context(training_place("gamma"))
    own = os.getpid()
    (line,) = caplog.messages
    assert line.startswith("training: waits for one of 2 places on this machine; training now: ")
    assert sorted(line.partition("now: ")[2].split(", ")) == [
        f"alpha (process {own})",
        f"beta (process {own})",
    ]
    assert len(list(tmp_path.rglob("place-*"))) == 2


def test_a_killed_holder_frees_its_place(tmp_path: Path, holders: list[Holder]) -> None:
    first = hold(holders, tmp_path, "alpha")
    assert first.says() == "has it"
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(PATIENCE)
    with training_place("beta"):
        pass


def test_the_place_of_a_killed_holder_is_taken_until_its_training_has_ended(
    tmp_path: Path, holders: list[Holder], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = hold(holders, tmp_path, "alpha", body=WITH_CHILD)
    assert [first.says(), first.says()] == ["has it", "has a child"]
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(PATIENCE)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        first.process.communicate()  # closes the standard input, which ends the training

    monkeypatch.setattr(training_places.time, "sleep", sleep)
    with training_place("beta"):
        assert waited


@pytest.mark.parametrize("allowed", [1, 3])
def test_there_are_never_more_at_once_than_places(
    tmp_path: Path, holders: list[Holder], monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    monkeypatch.setenv("NIGHTCAST_TRAININGS", str(allowed))
    inside = tmp_path / "inside"
    inside.mkdir()
    holders += [Holder(tmp_path, str(number), str(inside), body=COUNT) for number in range(6)]
    printed = [line for holder in holders for line in holder.end().splitlines() if line.isdecimal()]
    assert len(printed) == 6
    assert max(map(int, printed)) <= allowed


def test_an_error_in_a_training_frees_its_place() -> None:
    with pytest.raises(ZeroDivisionError), training_place("alpha"):
        raise ZeroDivisionError
    with training_place("beta"):
        pass


def test_an_interrupt_ends_the_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training_places.time, "sleep", interrupt)
    with training_place("alpha"), pytest.raises(KeyboardInterrupt), training_place("beta"):
        pass


def test_the_time_limit_counts_from_when_the_training_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The training process and the timer of its limit both start with a place."""
    started: list[str] = []

    def run(*_: Any) -> None:
        started.append("training")
        raise ModelError("enough")

    monkeypatch.setattr(training, "_run", run)
    with ExitStack() as other:
        other.enter_context(training_place("other"))

        def sleep(_: float) -> None:
            started.append("waited")
            other.close()

        monkeypatch.setattr(training_places.time, "sleep", sleep)
        with pytest.raises(ModelError, match="enough"):
            training.train_network(make_panel(), make_bars(), END, silent)
    assert started == ["waited", "training"]


def test_without_the_variable_cores_and_free_memory_set_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NIGHTCAST_TRAININGS")
    monkeypatch.setattr(training_places, "cores", lambda: 4)
    found = []
    for free in (None, 100 * MEGABYTES_OF_A_TRAINING, 2 * MEGABYTES_OF_A_TRAINING + 1, 0):
        monkeypatch.setattr(training_places, "free_megabytes", lambda free=free: free)
        found.append(allowed_trainings())
    assert found == [4, 4, 2, 1]


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5"])
def test_another_value_of_the_variable_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTCAST_TRAININGS", given)
    with pytest.raises(ModelError, match=f"NIGHTCAST_TRAININGS is '{given}', but must be a whole number"):
        allowed_trainings()


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = os.getuid()
    (tmp_path / f"nightcast-trainings-{own + 1}").mkdir()
    monkeypatch.setattr(training_places.os, "getuid", lambda: own + 1)
    with pytest.raises(ModelError, match=r"another user has the folder .*; remove it, or set TMPDIR"):
        training_place("alpha").__enter__()
