"""Some kills; `make soak` makes hundreds, in every stage of a night."""

import subprocess
import sys


def test_a_killed_publishing_is_made_up_for() -> None:
    # In a process of its own: what it forks must not have used the store.
    options = ["--kills", "4", "--whole", "0", "--before", "1", "--stages", "publish"]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.soak.kills", *options],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "all              4 " in ended.stdout
