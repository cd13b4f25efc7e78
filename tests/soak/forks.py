"""Forks of this process that may be killed: each in a session of its own, by which its children are found.

The process that forks must not have used the store: the threads of `deltalake` and `obstore` do not survive a
fork.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 300  # far more than any work here takes


@dataclass(frozen=True)
class Ended:
    """How a fork ended.

    Attributes:
        code: its exit code; minus the number of the signal that killed it.
        seconds: how long it ran.
        left: the ids of the processes that it left behind.
    """

    code: int
    seconds: float
    left: tuple[int, ...]


def run_fork(work: Callable[[], None], kill_after: float | None = None) -> Ended:
    """Do the work in a fork, and kill it after so many seconds if it still runs. What it leaves is killed."""
    began = time.monotonic()
    child = os.fork()
    if not child:
        _work(work)
    deadline = began + (_SECONDS if kill_after is None else kill_after)
    status = 0
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            break
        time.sleep(0.002)
    left = _left_of(child)
    for process in left:
        os.kill(process, signal.SIGKILL)
    return Ended(os.waitstatus_to_exitcode(status), time.monotonic() - began, left)


def _work(work: Callable[[], None]) -> None:
    code = 1
    try:
        os.setsid()
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - a fork must not go on with its parent's work
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _left_of(session: int) -> tuple[int, ...]:
    """The processes of this session that still live after a moment."""
    for _ in range(50):
        if not (left := _in_session(session)):
            break
        time.sleep(0.1)
    return left


def _in_session(session: int) -> tuple[int, ...]:
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, _group, of = file.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):  # it has ended meanwhile
            continue
        if int(of) == session and state != "Z":
            found.append(int(file.parent.name))
    return tuple(found)
