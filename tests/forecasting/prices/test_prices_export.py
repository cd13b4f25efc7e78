import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from forecasting.errors import StoreError
from forecasting.panel import Panel
from forecasting.prices.export import export_prices
from forecasting.prices.ingest import ingest
from forecasting.prices.schema import PRICES
from forecasting.storage import Storage

NOW = np.datetime64("2020-06-01", "us")
DOCS = Path(__file__).parents[3] / "docs/prices.md"
SNIPPETS = dict(re.findall(r"```python (\w+)\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL))


@pytest.fixture
def filled(storage: Storage, tmp_path: Path, make_panel: Callable[..., Panel]) -> Storage:
    """Two series, and a revision of one bar."""
    panel = make_panel({"uri": str(tmp_path / "prices.csv")})
    for close in (1.5, 2.5):
        (tmp_path / "prices.csv").write_text(
            f"unique_id,ds,close\nB,2020-03-02,{close}\nA,2020-03-03,7\nA,2019-03-02,6\n"
        )
        ingest(panel, storage, NOW)
    return storage


NEWEST = [("A", "2019-03-02", 6.0), ("A", "2020-03-03", 7.0), ("B", "2020-03-02", 2.5)]


def test_an_export_has_the_newest_values_in_plain_parquet(filled: Storage, tmp_path: Path) -> None:
    file = tmp_path / "new" / "prices.parquet"
    assert export_prices(filled, "tiny", file) == 3
    rows = pq.ParquetFile(file).read()
    assert rows.schema == PRICES
    assert (
        written(zip(*(rows[name].to_pylist() for name in ("unique_id", "ds", "close")), strict=True))
        == NEWEST
    )
    assert [path.name for path in file.parent.iterdir()] == ["prices.parquet"]


def test_an_export_that_cannot_be_written(filled: Storage, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot write .*give --export another path"):
        export_prices(filled, "tiny", tmp_path / "file" / "prices.parquet")


def test_the_docs_have_a_snippet_for_each_reader() -> None:
    assert sorted(SNIPPETS) == ["duckdb", "pandas", "polars"]


@pytest.mark.parametrize("reader", SNIPPETS)
def test_a_snippet_of_the_docs_gives_the_newest_values(reader: str, filled: Storage) -> None:
    names: dict[str, Any] = {"uri": filled.table_uri("prices/tiny")}
    exec(SNIPPETS[reader], names)  # noqa: S102 - the project's own docs
    assert written(names["bars"]) == NEWEST


def written(rows: Any) -> list[tuple[str, str, float]]:
    return [(name, ds.date().isoformat(), close) for name, ds, close in rows]
