"""Temporary folders that the next run removes when a process that was killed has left them.

Each folder has a file that its process holds locked. The lock ends with the process, however it ends, and no
other process can have it meanwhile.
"""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "nightcast-"
_LOCK = ".in-use"

_log = logging.getLogger(__name__)


@contextmanager
def temporary_folder(what: str) -> Iterator[Path]:
    """A folder for this process alone, removed at the end. `what` becomes a part of its name."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{what}-"))
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / _LOCK).exists():  # another process has found the folder before it was locked
                continue
            try:
                yield folder
            finally:
                shutil.rmtree(folder)
            return
        finally:
            os.close(lock)


def remove_leftovers() -> int:
    """Remove this user's temporary folders whose processes are gone, and return how many."""
    with os.scandir(tempfile.gettempdir()) as entries:
        named = [one for one in entries if one.name.startswith(_PREFIX) and one.is_dir(follow_symlinks=False)]
    removed = sum(_remove_if_left(Path(one.path)) for one in named)
    if removed:
        _log.info("temporary folders: removed %d that killed processes had left", removed)
    return removed


def _remove_if_left(folder: Path) -> bool:
    """Remove a folder that no process holds. One without our lock file is not ours, and stays."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:  # there is none, it is another user's, or another run removes the folder now
        return False
    try:
        if os.fstat(lock).st_uid != os.getuid():
            return False
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # its process lives
        return False
    else:
        shutil.rmtree(folder, ignore_errors=True)
        return True
    finally:
        os.close(lock)
