"""What this machine, or this container, has for trainings: cores and free memory."""

import os
from pathlib import Path

_MEGABYTE = 1024 * 1024
_CONTROL_GROUP = Path("sys/fs/cgroup")  # of the container, in the version 2 of Linux's control groups
_MEMORY = Path("proc/meminfo")


def cores(root: Path = Path("/")) -> int:
    """How many cores this process may use. A container's share of the processors counts.

    Args:
        root: the folder that has Linux's `proc` and `sys`.
    """
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share, _, period = _read(root / _CONTROL_GROUP / "cpu.max").partition(" ")
    if share.isdecimal():
        found = min(found, int(share) // int(period))
    return max(1, found)


def free_megabytes(root: Path = Path("/")) -> int | None:
    """The memory that processes can still take, in MB; None where the system does not tell.

    In a container it is what the container may still take, if that is less than what the machine has.

    Args:
        root: the folder that has Linux's `proc` and `sys`.
    """
    free = [one for one in (_free_on_machine(root), _free_in_container(root)) if one is not None]
    return min(free, default=None)


def _free_on_machine(root: Path) -> int | None:
    for line in _read(root / _MEMORY).splitlines():
        key, _, value = line.partition(":")
        if key == "MemAvailable":
            return int(value.split()[0]) // 1024
    return None


def _free_in_container(root: Path) -> int | None:
    group = root / _CONTROL_GROUP
    limit, used = (_read(group / name).strip() for name in ("memory.max", "memory.current"))
    if not (limit.isdecimal() and used.isdecimal()):  # there is no limit
        return None
    # Linux drops these pages of files before it refuses memory.
    cached = dict(line.split() for line in _read(group / "memory.stat").splitlines()).get("inactive_file", 0)
    return max(0, int(limit) - int(used) + int(cached)) // _MEGABYTE


def _read(file: Path) -> str:
    """The content of a file of the system; empty where it has none."""
    try:
        return file.read_text(encoding="ascii")
    except OSError:
        return ""
