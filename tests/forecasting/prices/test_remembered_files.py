"""Nightly ingests of large local files, of which only what changed is read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.prices.sources import files
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

FIRST = np.datetime64("2020-01-01")
NOW = np.datetime64("2024-01-01", "us")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two files; every file is large."""
    monkeypatch.setattr(files, "LARGE", 0)
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "a.csv", "A", range(40))
    write(folder / "b.csv", "B", range(40))
    return folder


@pytest.fixture
def night(folder: Path, storage: Storage, make_panel: Callable[..., Panel]) -> Callable[[], int]:
    """Ingests the folder, and returns how many rows it offered."""
    return lambda: ingest(make_panel({"uri": str(folder)}), storage, NOW).offered


def write(path: Path, name: str, days: range) -> None:
    lines = [f"{name},{FIRST + day},{10 + day % 3}" for day in days]
    path.write_text("\n".join(["unique_id,ds,close", *lines]) + "\n")


def test_files_that_are_the_same_are_not_read_again(folder: Path, night: Callable[[], int]) -> None:
    assert night() == 80
    assert night() == 0
    (folder / "a.csv").touch()
    assert night() == 0


def test_only_a_changed_or_new_file_is_read(folder: Path, night: Callable[[], int], storage: Storage) -> None:
    night()
    write(folder / "b.csv", "B", range(41))
    assert night() == 41
    write(folder / "c.csv", "C", range(41))
    assert night() == 41
    assert PriceTable(storage, "tiny").rows == 80 + 1 + 41


def test_where_a_file_is_gone_all_others_are_read(folder: Path, night: Callable[[], int]) -> None:
    night()
    (folder / "a.csv").unlink()
    assert night() == 40


def test_small_files_are_read_every_time(night: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGE", 1_000_000)
    assert night() == night() == 80
