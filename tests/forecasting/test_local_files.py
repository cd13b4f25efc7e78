import os
from pathlib import Path

import pytest

from forecasting.local_files import sync_files, write_file


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files and folders that were brought to the disk, in order."""
    names, sync = [], os.fsync

    def note(number: int) -> None:
        names.append(Path(f"/proc/self/fd/{number}").readlink().name.partition("#")[0])
        sync(number)

    monkeypatch.setattr(os, "fsync", note)
    return names


def test_a_file_is_on_the_disk_before_its_name_and_its_folders_are(tmp_path: Path, synced: list[str]) -> None:
    assert write_file(tmp_path / "a" / "b" / "c", b"data")
    assert synced == [tmp_path.name, "a", "c", "b"]
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"data"
    assert [file.name for file in (tmp_path / "a" / "b").iterdir()] == ["c"]


def test_a_new_file_does_not_replace_one(tmp_path: Path) -> None:
    assert write_file(tmp_path / "c", b"first", new=True)
    assert not write_file(tmp_path / "c", b"second", new=True)
    assert write_file(tmp_path / "c", b"third")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"third"]


def test_files_are_synced_later_with_their_folders(tmp_path: Path, synced: list[str]) -> None:
    write_file(tmp_path / "a" / "b", b"data", synced=False)
    assert synced == []
    sync_files([tmp_path / "a" / "b", tmp_path / "gone"], tmp_path)
    assert sorted(synced) == sorted(["b", "a", tmp_path.name])


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "c", b"old")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "c", b"new")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]
