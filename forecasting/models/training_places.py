"""Places for trainings: how many training processes run on this machine at once.

Without a limit, all panels that are due at the same minute train at the same time. They share the cores, and
each needs its own memory. Here a training waits until the machine has a place for it.

A place is a file that its holder keeps locked. The kernel releases the lock with the last process that holds
it, however that process ends. All processes of one user with the same folder for temporary files share the
places.
"""

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forecasting.errors import ModelError
from forecasting.models.machine import cores, free_megabytes

VARIABLE = "NIGHTCAST_TRAININGS"
# A training of 30 series of 6,000 bars took 0.6 GB. More windows take more.
MEGABYTES_OF_A_TRAINING = 1024

_ASK_AGAIN_SECONDS = 0.5
_DOOR = "door"
_HOLDER_BYTES = 1000

_log = logging.getLogger(__name__)


@contextmanager
def training_place(name: str) -> Iterator[int]:
    """Wait until this machine has a place for the training called `name`, and hold the place meanwhile.

    If others have all places, one log line names them.

    Yields:
        The descriptor of the locked file. A training process must inherit it: then the place stays taken
        until that process has ended, even if this process is killed.

    Raises:
        ModelError: `NIGHTCAST_TRAININGS` is not a whole number from 1 on, or another user has the folder.
    """
    place = _wait_for_place(_folder(), name)
    try:
        yield place
    finally:
        os.close(place)


def allowed_trainings() -> int:
    """How many trainings may run on this machine at this moment.

    `NIGHTCAST_TRAININGS` sets the number. Without it, the number is one training for each core, fewer if the
    free memory is too small for that, and at least one.

    Raises:
        ModelError: `NIGHTCAST_TRAININGS` is not a whole number from 1 on.
    """
    given = os.environ.get(VARIABLE)
    if given:
        if not given.isdecimal() or int(given) == 0:
            raise ModelError(f"{VARIABLE} is {given!r}, but must be a whole number from 1 on; set it anew")
        return int(given)
    free = free_megabytes()
    return cores() if free is None else max(1, min(cores(), free // MEGABYTES_OF_A_TRAINING))


def _wait_for_place(folder: Path, name: str) -> int:
    is_told = False
    while True:
        allowed = allowed_trainings()
        place, others = _take(folder, name, allowed)
        if place is not None:
            return place
        if not is_told:
            what = "the only place" if allowed == 1 else f"one of {allowed} places"
            _log.info("training: waits for %s on this machine; training now: %s", what, ", ".join(others))
            is_told = True
        time.sleep(_ASK_AGAIN_SECONDS)


def _take(folder: Path, name: str, allowed: int) -> tuple[int | None, list[str]]:
    """Lock a place if fewer than `allowed` are taken.

    Returns:
        The place, or None; and who holds the other places.
    """
    with _door(folder):
        free: list[int] = []
        others: list[str] = []
        files = sorted(folder.glob("place-*"))
        for file in files:
            place = _open(file)
            if _can_lock(place):
                free.append(place)
            else:
                others.append(os.pread(place, _HOLDER_BYTES, 0).decode(errors="replace"))
                os.close(place)
        taken = None
        if len(others) < allowed:
            taken = free.pop() if free else _open(folder / f"place-{len(files)}")
            fcntl.flock(taken, fcntl.LOCK_EX)
            os.ftruncate(taken, 0)
            os.pwrite(taken, f"{name} (process {os.getpid()})".encode(), 0)
        for place in free:
            os.close(place)
        return taken, others


@contextmanager
def _door(folder: Path) -> Iterator[None]:
    """Let one process at a time look at the places: otherwise two could count each other's attempts."""
    door = _open(folder / _DOOR)
    try:
        fcntl.flock(door, fcntl.LOCK_EX)
        yield
    finally:
        os.close(door)


def _can_lock(place: int) -> bool:
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _folder() -> Path:
    """The folder of this user's places. Other users must not be able to take them."""
    folder = Path(tempfile.gettempdir()) / f"nightcast-trainings-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise ModelError(f"another user has the folder {folder}; remove it, or set TMPDIR to another folder")
    return folder
