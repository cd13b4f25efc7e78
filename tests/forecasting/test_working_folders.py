import os
import time
from pathlib import Path

import pytest

from forecasting.storage import Storage
from forecasting.working_folders import working_folder

WEEK = 7 * 24 * 3600


def fail_in_a_folder(storage: Storage) -> None:
    with working_folder(storage, "work") as folder:
        storage.put(f"{folder}/part", b"1")
        raise KeyError


def test_a_working_folder_goes_at_the_end_even_of_a_failed_step(storage: Storage) -> None:
    with pytest.raises(KeyError):
        fail_in_a_folder(storage)
    assert storage.list("work") == []


def test_only_what_was_left_a_week_ago_goes_at_the_start(local_storage: Storage) -> None:
    for name, age in (("old", WEEK + 60), ("running", WEEK - 60)):
        local_storage.put(f"work/{name}/part", b"1")
        written = time.time() - age
        os.utime(Path(local_storage.uri) / "work" / name / "part", (written, written))
    with working_folder(local_storage, "work"):
        assert local_storage.list("work") == ["work/running/part"]
