"""Runs programs, and measures what each took: wall and processor seconds, and memory."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PEERS = ROOT / ".venv-peers" / "bin" / "python"
# Threads of OpenMP wait for each other in a busy loop, which makes PyTorch up to 20 times slower on a machine
# that others use.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Usage:
    """What a program took, its child processes included; the memory is that of the largest process."""

    seconds: float
    processor_seconds: float
    megabytes: float


def run(command: Sequence[object], log: Path, settings: Mapping[str, str]) -> Usage:
    """Run a program to its end, with further environment variables; what it prints goes to `log`.

    Ends this program if that one fails.

    Keep this process small: the peak memory of a child is at least that of the process that started it.
    """
    words = [str(word) for word in command]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {**inherited, **settings}
    start = time.perf_counter()
    with log.open("wb") as lines:
        process = subprocess.Popen(words, env=environment, cwd=ROOT, stdout=lines, stderr=lines)  # noqa: S603 - ours
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{' '.join(words)}: exit code {process.returncode}\n{log.read_text(errors='replace')}")
    return Usage(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def load() -> str:
    """How busy the machine is, for the record of a measurement."""
    one, five, _ = os.getloadavg()
    return f"{os.cpu_count()} processors, load {one:.1f} in the last minute, {five:.1f} in the last five"
