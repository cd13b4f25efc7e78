"""Files of a local store: written whole, and on the disk before they are shown.

A file is written under another name, synced, renamed, and its folder is synced. After a power cut there is
the old file or the new one, and never half of one.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

_AT_ONCE = 16
# Another process may remove a folder that has just become empty. Nobody does so twice in a row.
_ATTEMPTS = 3


def write_file(path: Path, data: bytes, *, new: bool = False, synced: bool = True) -> bool:
    """Write a file in one step; readers see the old bytes or the new ones.

    Args:
        path: the file. Its folders are made.
        data: its bytes.
        new: whether to leave a file alone that exists.
        synced: whether the file is on the disk when this returns. If not, call `sync_files` later.

    Returns:
        Whether the file was written.

    Raises:
        OSError: the disk is full, read-only, or the like.
    """
    for attempt in range(_ATTEMPTS):
        try:
            _make_folder(path.parent, synced=synced)
            return _write(path, data, new=new, synced=synced)
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def sync_files(paths: Iterable[Path], root: Path) -> None:
    """Bring files, and all their folders below `root`, to the disk. Files that are gone are passed over."""
    files = list(paths)
    folders = {folder for file in files for folder in file.parents if folder.is_relative_to(root)}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(_sync, [*files, *folders]))


def _write(path: Path, data: bytes, *, new: bool, synced: bool) -> bool:
    # Listings of `obstore` pass over names that end like this.
    draft = path.with_name(f"{path.name}#{int.from_bytes(os.urandom(6), 'big')}")
    try:
        with draft.open("xb") as file:
            file.write(data)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        if new:
            path.hardlink_to(draft)
        else:
            draft.replace(path)
    except FileExistsError:
        return False
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    if synced:
        _sync(path.parent)
    return True


def _make_folder(folder: Path, *, synced: bool) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent, synced=synced)
    folder.mkdir(exist_ok=True)
    if synced:
        _sync(folder.parent)


def _sync(path: Path) -> None:
    with suppress(FileNotFoundError):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
