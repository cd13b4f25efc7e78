"""Find processes by a variable of their environment, which their children inherit."""

import os
import signal
import time
from pathlib import Path


def processes_with(variable: str, value: str) -> list[int]:
    """The ids of the living processes whose environment has the variable with this value."""
    wanted, found = f"{variable}={value}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except (OSError, IndexError):  # it has ended meanwhile, or is another user's
            continue
    return found


def have_ended(variable: str, value: str) -> bool:
    """Whether such processes are gone, after a moment for those that end with their parent."""
    for _ in range(300):
        if not processes_with(variable, value):
            return True
        time.sleep(0.1)
    return False


def kill_all(variable: str, value: str) -> None:
    """Kill such processes."""
    for process in processes_with(variable, value):
        os.kill(process, signal.SIGKILL)
