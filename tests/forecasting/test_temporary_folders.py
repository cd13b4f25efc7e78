"""Temporary folders, and the leftovers of killed processes."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from forecasting.temporary_folders import remove_leftovers, temporary_folder

HOLDER = """
import sys, time
from forecasting.temporary_folders import temporary_folder
with temporary_folder("held") as folder:
    (folder / "big").write_bytes(bytes(1000))
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's folder for temporary files, for this test."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_folder_is_removed_at_the_end_whatever_happens(temp: Path) -> None:
    def fail() -> None:
        with temporary_folder("model") as folder:
            (folder / "a").touch()
            assert folder.parent == temp
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert list(temp.iterdir()) == []


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_stays(temp: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert folder.parent == temp
        assert remove_leftovers() == 0
        assert (folder / "big").exists()
        process.kill()
        process.wait()
        assert folder.exists()
        assert remove_leftovers() == 1
    assert list(temp.iterdir()) == []


def test_own_folders_and_those_of_others_stay(temp: Path) -> None:
    (temp / "nightcast-of-a-user").mkdir()
    (temp / "nightcast-link").symlink_to(temp / "nightcast-of-a-user")
    (temp / "nightcast-log.log").touch()
    with temporary_folder("model") as folder:
        assert remove_leftovers() == 0
        assert folder.exists()
    assert len(list(temp.iterdir())) == 3
