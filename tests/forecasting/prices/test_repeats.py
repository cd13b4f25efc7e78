"""A source that offers the same rows again and again takes the memory of the rows, and counts them all."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from forecasting.panel import Panel
from forecasting.prices import repeats
from forecasting.prices.audit import rules
from forecasting.prices.ingest import IngestReport, ingest
from forecasting.prices.repeats import Repeats
from forecasting.prices.sources import read_source
from forecasting.storage import Storage

NOW = np.datetime64("2026-11-01T00:00", "us")
HEADER = "unique_id,ds,close\n"
ROWS = "A,2020-01-01,1.0\nB,2020-01-01,1.0\nA,2020-01-02,\n,2020-01-03,2.0\nB,2020-01-02,3.0\n"


def offered(folder: Path, make_panel: Callable[..., Panel], text: str) -> tuple[Panel, pa.Table]:
    (folder / "a.csv").write_text(HEADER + text)
    panel = make_panel({"uri": str(folder / "a.csv")})
    return panel, pa.concat_tables(read_source(panel))


def test_two_of_each_row_are_kept_and_rows_that_were_not_read_stay(
    tmp_path: Path, make_panel: Callable[..., Panel]
) -> None:
    _, batch = offered(tmp_path, make_panel, ROWS * 10)
    found = Repeats()
    kept = found.dropped(batch)
    assert found.by_id == {"A": 8, "B": 16}  # the row without a price is none, and that without an id stays
    assert kept.num_rows == 2 * 3 + 10
    assert kept.filter(pa.compute.is_valid(kept["raw"])).num_rows == 10


def test_few_repeats_and_rows_that_only_look_alike_stay(
    tmp_path: Path, make_panel: Callable[..., Panel]
) -> None:
    text = "".join(f"A,2020-01-{day:02},1.0\n" for day in range(1, 29))
    _, batch = offered(tmp_path, make_panel, text + "A,2020-01-01,1.0\n" * 3)
    assert Repeats().dropped(batch) is batch


def report(folder: Path, make_panel: Callable[..., Panel], text: str) -> IngestReport:
    panel, _ = offered(folder, make_panel, text)
    return ingest(panel, Storage(str(folder / "store")), NOW)


def test_the_ingest_counts_them_as_without(
    tmp_path: Path, make_panel: Callable[..., Panel], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "A,2020-01-01,1.0\nA,2020-01-02,2.0\nB,2020-01-01,3.0\n" * 50
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    with_them = report(tmp_path / "with", make_panel, text)
    monkeypatch.setattr(repeats, "_SAMPLE_ROWS", 1)
    without = report(tmp_path / "without", make_panel, text)
    assert with_them == without
    assert (with_them.offered, with_them.appended, with_them.repaired) == (150, 3, 147)
    assert {one.unique_id: one.rows for one in with_them.findings if one.code == rules.DUPLICATE.code} == {
        "A": 98,
        "B": 49,
    }
