"""`[source].max_megabytes` bounds what a read takes out of a source, however small the source is."""

import gzip
import io
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.sources import read_source
from forecasting.prices.sources.allowance import TooMuchError

ROWS = 20_000
DAYS = np.datetime64("1970-01-01") + np.arange(ROWS)
FRAME = pd.DataFrame({"unique_id": "A", "ds": DAYS.astype("datetime64[us]"), "close": 1.0})
TEXT = FRAME.to_csv(index=False).encode()  # 0.34 MB; packed, all of them are far smaller than 0.2 MB


def packed(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("a.csv", TEXT)
    return buffer.getvalue()


def parquet() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(FRAME, preserve_index=False), buffer)
    return buffer.getvalue()


def database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        FRAME.assign(ds=FRAME["ds"].astype(str)).to_sql("prices", connection, index=False)
    connection.close()


FILES: dict[str, Callable[[], bytes]] = {
    "prices.csv": lambda: TEXT,
    "prices.csv.gz": lambda: gzip.compress(TEXT),
    "deflate.zip": lambda: packed(zipfile.ZIP_DEFLATED),
    "bzip2.zip": lambda: packed(zipfile.ZIP_BZIP2),
    "lzma.zip": lambda: packed(zipfile.ZIP_LZMA),
    "prices.parquet": parquet,
    "prices.parquet.gz": lambda: gzip.compress(parquet()),
}


@pytest.fixture(params=[*FILES, "delta", "database"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The section of a panel for one kind of source, which all hold the same rows."""
    path = tmp_path / request.param
    if request.param == "delta":
        write_deltalake(str(path), pa.Table.from_pandas(FRAME, preserve_index=False))
    elif request.param == "database":
        database(path)
        return {"uri": f"sqlite:///{path}", "query": "select * from prices where ds >= :since"}
    else:
        path.write_bytes(FILES[request.param]())
    return {"uri": str(path)}


def test_a_read_stops_at_the_limit_with_the_key_to_raise(
    source: dict[str, Any], make_panel: Callable[..., Panel]
) -> None:
    with pytest.raises(TooMuchError) as raised:
        list(read_source(make_panel({**source, "max_megabytes": 0.2})))
    name = source["uri"].removeprefix("sqlite:///")
    assert str(raised.value).endswith(
        f"{name} has more than 0.2 MB; raise [source].max_megabytes in the panel, or check [source].uri"
    )


def test_what_is_below_the_limit_is_read_though_it_is_opened_several_times(
    source: dict[str, Any], make_panel: Callable[..., Panel]
) -> None:
    batches = list(read_source(make_panel({**source, "max_megabytes": 0.4})))
    assert sum(batch.num_rows for batch in batches) == ROWS


def test_all_files_count_together_and_one_too_many_is_not_skipped(
    tmp_path: Path, make_panel: Callable[..., Panel]
) -> None:
    for name in "ABC":
        (tmp_path / f"{name}.csv").write_bytes(TEXT)
    panel = make_panel({"uri": str(tmp_path), "max_megabytes": 0.9})
    with pytest.raises(TooMuchError):
        list(read_source(panel))


def test_a_zip_that_says_how_much_it_holds_is_not_unpacked(
    tmp_path: Path, make_panel: Callable[..., Panel], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.zip").write_bytes(packed(zipfile.ZIP_DEFLATED))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it is unpacked"))
    with pytest.raises(TooMuchError):
        list(read_source(make_panel({"uri": str(tmp_path / "a.zip"), "max_megabytes": 0.2})))


def test_short_rows_count_as_they_take_memory(tmp_path: Path, make_panel: Callable[..., Panel]) -> None:
    (tmp_path / "a.csv").write_text("d,c\n" + "1,2\n" * 100_000)  # 0.4 MB, whose rows take 6 MB
    source = {"uri": str(tmp_path / "a.csv"), "time_column": "d", "id_column": "", "columns": {"close": "c"}}
    with pytest.raises(TooMuchError):
        list(read_source(make_panel({**source, "max_megabytes": 1})))


def test_a_line_without_an_end_is_refused(
    tmp_path: Path, make_panel: Callable[..., Panel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forecasting.prices.sources.csv_tables._LONGEST_LINE", 1000)
    (tmp_path / "a.csv").write_text("ds,close\n" + "1" * 2000)
    with pytest.raises(SourceError, match="a line of more than 1,000 characters"):
        list(read_source(make_panel({"uri": str(tmp_path / "a.csv")})))


BOMB = """
import gzip, resource, sys
from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.sources import read_source

def read(**source):
    panel = Panel.model_validate({"name": "bomb", "source": {"uri": sys.argv[1], **source}})
    try:
        for _ in read_source(panel):
            pass
    except SourceError as error:
        print(error)

read(include=["none"], max_megabytes=0.001)  # imports what it needs
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read(max_megabytes=20)
read(exclude=["A"], max_megabytes=10_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_bomb_takes_the_memory_of_what_is_kept_not_of_its_text(tmp_path: Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"unique_id,ds,close\n")
        for _ in range(300):
            file.write(b"A,2020-01-01,1.0\n" * 60_000)  # 1 MB
    ended = subprocess.run(
        [sys.executable, "-c", BOMB, path], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "has more than 20 MB" in ended[1]
    assert "no series at" in ended[2]  # it was read to its end
    assert int(ended[3]) < 250_000  # kB; the text has 306,000, and its rows three times that
