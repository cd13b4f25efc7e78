import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from forecasting.errors import StoreError
from forecasting.panel import Panel
from forecasting.prices.export import export_file, export_prices
from forecasting.prices.ingest import ingest
from forecasting.prices.schema import PRICES
from forecasting.storage import Storage

NOW = np.datetime64("2020-06-01", "us")
DOCS = Path(__file__).parents[3] / "docs/prices.md"
SNIPPETS = dict(re.findall(r"```python (\w+)\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL))


@pytest.fixture
def filled(storage: Storage, tmp_path: Path, make_panel: Callable[..., Panel]) -> Storage:
    """Two series, and revisions of two bars: one gets another close, one loses its own."""
    panel = make_panel({"uri": str(tmp_path / "prices.csv")}, forecast={"target": "volume"})
    for revised, withdrawn in (("1.5", "5"), ("2.5", "")):
        (tmp_path / "prices.csv").write_text(
            "unique_id,ds,close,volume\n"
            f"B,2020-03-02,{revised},9\nA,2020-03-03,7,9\nA,2019-03-02,6,9\nA,2019-03-01,{withdrawn},9\n"
        )
        ingest(panel, storage, NOW)
    return storage


NEWEST = [
    ("A", "2019-03-01", None),
    ("A", "2019-03-02", 6.0),
    ("A", "2020-03-03", 7.0),
    ("B", "2020-03-02", 2.5),
]


def test_an_export_has_the_newest_values_in_plain_parquet(filled: Storage, tmp_path: Path) -> None:
    file = export_file(str(tmp_path / "new" / "prices.parquet"))
    assert export_prices(filled, "tiny", file) == 4
    rows = pq.ParquetFile(file).read()
    assert rows.schema == PRICES
    assert (
        written(zip(*(rows[name].to_pylist() for name in ("unique_id", "ds", "close")), strict=True))
        == NEWEST
    )
    assert [path.name for path in file.parent.iterdir()] == ["prices.parquet"]


def test_an_export_that_fails_leaves_nothing_behind(filled: Storage, tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    (folder / "prices.parquet" / "in the way").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"cannot write .*give --export another path"):
        export_prices(filled, "tiny", folder / "prices.parquet")
    assert [path.name for path in folder.iterdir()] == ["prices.parquet"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("s3://bucket/prices.parquet", "--export s3://bucket/prices.parquet is not a local file"),
        ("", "--export '' is a folder; give a file in it, such as prices.parquet"),
        (".", "--export '.' is a folder"),
        ("folder", "--export 'folder' is a folder; give a file in it, such as folder/prices.parquet"),
        ("new/", "--export 'new/' is a folder"),
        ("file/prices.parquet", "cannot write file/prices.parquet (File exists)"),
        ("file/in/prices.parquet", "cannot write file/in/prices.parquet (Not a directory)"),
    ],
)
def test_where_no_export_can_be(
    target: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").touch()
    with pytest.raises(StoreError, match=re.escape(reason)):
        export_file(target)
    assert sorted(path.name for path in Path().iterdir()) == ["file", "folder"]


def test_the_docs_have_a_snippet_for_each_reader() -> None:
    assert sorted(SNIPPETS) == ["duckdb", "pandas", "polars"]


@pytest.mark.parametrize("reader", SNIPPETS)
def test_a_snippet_of_the_docs_gives_the_newest_values(reader: str, filled: Storage) -> None:
    names: dict[str, Any] = {"uri": filled.table_uri("prices/tiny")}
    exec(SNIPPETS[reader], names)  # noqa: S102 - the project's own docs
    assert written(names["bars"]) == NEWEST


def written(rows: Any) -> list[tuple[str, str, float | None]]:
    """Rows as `NEWEST` has them; pandas' NaN is a null."""
    return [(name, ds.date().isoformat(), None if pd.isna(close) else close) for name, ds, close in rows]
