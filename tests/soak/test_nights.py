"""Some nights in one process; `make soak` runs a hundred."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from forecasting import night
from forecasting.panel import Panel
from forecasting.publishing import reader
from forecasting.storage import Storage
from tests.soak.nights import PANEL, run_nights

BASELINE = "[audit]\nmin_bars = 40\n"


def test_a_night_leaves_no_open_file_and_no_more_files_than_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(PANEL + BASELINE, encoding="utf-8")
    storage = Storage(str(tmp_path / "store"))

    def run(_number: int) -> None:
        night.run_night(Panel.load(tmp_path / "tiny.toml"), storage)

    sizes = list(run_nights(tmp_path, 3, run, bars=80))
    added = [later.files - earlier.files for earlier, later in pairwise(sizes)]
    assert added == [14, 14]
    assert sizes[1].open_files == sizes[2].open_files
    published = reader.latest("tiny", storage.uri).attrs["published_at"]
    assert (datetime.now(UTC) - datetime.fromisoformat(published)).days in {0, 1}
