from pathlib import Path

import numpy as np
import obstore
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from obstore.store import LocalStore, from_url
from pyarrow import fs

from forecasting.errors import StoreError
from forecasting.prices.delta import append_rows, create_table, find_table, has_mark, open_dataset, scan_rows
from forecasting.prices.schema import GOOD, PRICES
from forecasting.storage import Storage

NOON = np.datetime64("2020-03-10T12:00", "us")


def read(storage: Storage) -> None:
    table = find_table(storage, "prices/tiny")
    assert table is not None
    scan_rows(table, PRICES)


def error_of(storage: Storage) -> str:
    with pytest.raises(StoreError) as raised:
        read(storage)
    message = str(raised.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("description", [None, "sales of the north", "Nightcast table, format"])
def test_a_table_of_somebody_else_is_refused(local_storage: Storage, description: str | None) -> None:
    table = pa.table({"unique_id": ["A"]})
    write_deltalake(local_storage.table_uri("prices/tiny"), table, description=description)
    message = error_of(local_storage)
    assert "prices/tiny is a Delta table that nightcast did not write; move it" in message


def test_no_python_reads_the_files_of_a_local_table(tmp_path: Path) -> None:
    # Threads of pyarrow that call Python as the process ends abort it: one run in seven on a busy machine.
    folder = tmp_path / "a b"
    written = pa.table({"symbol": ["BTC/USD", "x%y"], "close": [1.5, 2.5]})
    write_deltalake(folder, written, partition_by=["symbol"])
    data = open_dataset(DeltaTable(folder))
    assert isinstance(data.filesystem, fs.SubTreeFileSystem)
    assert isinstance(data.filesystem.base_fs, fs.LocalFileSystem)
    assert data.to_table().sort_by("close").equals(written)


@pytest.mark.parametrize("where", ["local_storage", "s3_storage"])
def test_a_file_that_is_gone_is_said(where: str, request: pytest.FixtureRequest) -> None:
    storage: Storage = request.getfixturevalue(where)
    table = create_table(storage, "prices/tiny", PRICES, [])
    row = {"unique_id": ["A"], "ds": [NOON.item()], "close": [1.5]}
    columns = [pa.array(row.get(field.name, [None]), field.type) for field in GOOD]
    append_rows(table, pa.table(columns, schema=GOOD), NOON)
    (file,) = [path for path in storage.list("prices/tiny") if path.endswith(".parquet")]
    root = from_url(storage.uri, client_options={"allow_http": True}) if "://" in storage.uri else None
    obstore.delete(root or LocalStore(storage.uri), file)
    message = error_of(storage)
    assert "prices/tiny" in message
    assert f"is damaged: {file.removeprefix('prices/tiny/')} (" in message
    assert f"run: nightcast restore tiny --store {storage.uri}" in message


def test_a_mark_outlives_the_log_entry_that_left_it(local_storage: Storage) -> None:
    table = create_table(local_storage, "prices/tiny", PRICES, [])
    append_rows(table, GOOD.empty_table(), NOON, marks=["settled:a", "settled:b"])
    table.create_checkpoint()
    for entry in Path(table.table_uri.removeprefix("file://")).glob("_delta_log/*.json"):
        entry.unlink()
    again = find_table(local_storage, "prices/tiny")
    assert again is not None
    assert has_mark(again, "settled:a")
    assert has_mark(again, "settled:b")
    assert not has_mark(again, "settled:c")
