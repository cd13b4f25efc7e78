"""A folder for Prefect as its first start leaves it: the database has all its tables.

A server with a new folder needs seconds to make them. That is so once, and not in every test with a server.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path


def used_home(home: Path) -> str:
    """Make `home` such a folder, unless it exists. For `PREFECT_HOME` in a test's environment."""
    if not home.exists():
        shutil.copytree(_home_of_first_start(), home)
    return str(home)


def make_database(file: Path) -> None:
    """Make an SQLite database with all tables of Prefect."""
    shutil.copy(_home_of_first_start() / "prefect.db", file)


@cache
def _home_of_first_start() -> Path:
    home = Path(tempfile.mkdtemp(prefix="prefect-home-"))
    atexit.register(shutil.rmtree, home)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    subprocess.run(
        [Path(sys.executable).parent / "prefect", "server", "database", "upgrade", "--yes"],
        env={**environment, "PREFECT_HOME": str(home)},
        capture_output=True,
        check=True,
        timeout=240,
    )
    return home
