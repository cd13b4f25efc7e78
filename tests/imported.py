"""Which packages a command imports, in a process of its own."""

import subprocess
import sys
from collections.abc import Sequence

_PROGRAM = """
import sys
from deployments.start import main
try:
    main()
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def imported_by(words: Sequence[str]) -> set[str]:
    """Run a command, which must succeed, and return the names of all imported packages."""
    command = [sys.executable, "-c", _PROGRAM, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.splitlines()[-1].split())
