import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from forecasting.panel import Panel
from forecasting.prices.audit.splits import Split
from forecasting.prices.compaction import SPARE_FILES, Compaction, compact, sweep
from forecasting.prices.quarantine import Quarantine
from forecasting.prices.schema import GOOD, REFUSED
from forecasting.prices.split_table import SplitTable
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

NOON = np.datetime64("2021-03-10T12:00", "us")
TICK = np.timedelta64(1, "us")
# Prints "ready" after the imports, so that the kill hits the compaction and not the imports.
COMPACT_WHEN_READY = """\
import sys
from forecasting.prices.compaction import SPARE_FILES, Compaction, compact, sweep
from forecasting.storage import Storage
storage = Storage(sys.argv[1])
print("ready", flush=True)
compact(storage, "tiny", spare=0)
"""


def night(day: int, series: int = 50) -> pa.Table:
    """One bar of each series."""
    columns = {field.name: pa.nulls(series, field.type) for field in GOOD}
    ds = np.full(series, np.datetime64("2020-12-29", "us") + np.timedelta64(day, "D"))
    columns |= {
        "unique_id": pa.array([f"S{number:02}" for number in range(series)]),
        "ds": pa.array(ds).cast(GOOD.field("ds").type),
        "close": pa.array(np.arange(series) + float(day)),
    }
    return pa.table(columns, schema=GOOD)


def fill(storage: Storage, panel: Panel) -> None:
    """Eight nights over two years, and one of them once more with other values."""
    table = PriceTable.create(storage, panel)
    for day in [0, 1, 2, 3, 4, 5, 6, 7]:
        table.append(night(day), NOON)
    table.append(night(3).set_column(5, "close", night(9)["close"]), NOON)


def reads(storage: Storage) -> list[pa.Table]:
    table = PriceTable(storage, "tiny")
    return [table.newest(), table.first_vintage(), table.as_known_at(NOON + 5 * TICK)]


@pytest.fixture
def panel(make_panel: Callable[..., Panel]) -> Panel:
    return make_panel({"uri": "nowhere.csv"})


@pytest.mark.parametrize("where", ["local_storage", "s3_storage"])
def test_a_compaction_changes_no_read(where: str, panel: Panel, request: pytest.FixtureRequest) -> None:
    storage = request.getfixturevalue(where)
    fill(storage, panel)
    before, known_at = reads(storage), PriceTable(storage, "tiny").known_at
    assert compact(storage, "tiny", spare=0) == [Compaction("prices/tiny", 9, 2)]
    assert reads(storage) == before
    assert PriceTable(storage, "tiny").known_at == known_at
    assert PriceTable(storage, "tiny").append(night(8), NOON) == known_at + TICK


def test_each_partition_is_one_file_sorted_by_series(storage: Storage, panel: Panel) -> None:
    fill(storage, panel)
    compact(storage, "tiny", spare=0)
    files = DeltaTable(storage.table_uri("prices/tiny")).file_uris()
    assert sorted(Path(file).parent.name for file in files) == ["year=2020", "year=2021"]
    for file in files:
        ids = pq.ParquetFile(file).read()["unique_id"].to_pylist()
        assert ids == sorted(ids)


def test_one_series_lies_in_one_group_of_rows(storage: Storage, panel: Panel) -> None:
    table = PriceTable.create(storage, panel)
    for day in (3, 4):
        table.append(night(day, series=80_000), NOON)
    compact(storage, "tiny", spare=0)
    (file,) = DeltaTable(storage.table_uri("prices/tiny")).file_uris()
    groups = pq.ParquetFile(file).metadata
    ids = [groups.row_group(at).column(0).statistics for at in range(groups.num_row_groups)]
    assert len([each for each in ids if each.min <= "S20000" <= each.max]) == 1 < len(ids)


def test_what_is_compact_is_left_alone(storage: Storage, panel: Panel) -> None:
    fill(storage, panel)
    compact(storage, "tiny", spare=0)
    version = PriceTable(storage, "tiny").version
    assert compact(storage, "tiny", spare=0) == []
    assert PriceTable(storage, "tiny").version == version


def test_a_partition_may_have_some_files_to_spare(storage: Storage, panel: Panel) -> None:
    fill(storage, panel)  # three files in 2020, six in 2021
    assert compact(storage, "tiny") == []
    assert compact(storage, "tiny", spare=5) == []
    assert compact(storage, "tiny", spare=4) == [Compaction("prices/tiny", 9, 4)]


def test_a_month_of_nights_is_compacted_before_it_is_over() -> None:
    assert SPARE_FILES < 20


def test_the_quarantine_is_compacted_too(storage: Storage) -> None:
    for text in ("one", "two"):
        row = {field.name: pa.nulls(1, field.type) for field in REFUSED} | {"raw": pa.array([text])}
        Quarantine(storage, "tiny").add(pa.table(row, schema=REFUSED), NOON)
    assert compact(storage, "tiny", spare=0) == [Compaction("quarantine/tiny", 2, 1)]
    assert Quarantine(storage, "tiny").rows().num_rows == 2


def test_a_reader_that_opened_the_table_before_reads_on(storage: Storage, panel: Panel) -> None:
    fill(storage, panel)
    opened = PriceTable(storage, "tiny")
    before = opened.newest()
    compact(storage, "tiny", spare=0)
    assert opened.newest() == before


def test_a_writer_that_opened_the_table_before_writes_on(storage: Storage, panel: Panel) -> None:
    fill(storage, panel)
    opened = PriceTable(storage, "tiny")
    compact(storage, "tiny", spare=0)
    opened.append(night(9), NOON)
    assert PriceTable(storage, "tiny").newest().num_rows == 9 * 50


def leave_orphan(storage: Storage) -> Path:
    """Leave a file of a writer that was killed eight days ago in the table's folder."""
    folder = Path(storage.table_uri("prices/tiny"))
    orphan = folder / "year=2020" / "part-00000-left-by-a-killed-writer.parquet"
    orphan.write_bytes(b"half a file")
    long_ago = time.time() - 8 * 24 * 3600
    os.utime(orphan, (long_ago, long_ago))
    return orphan


def test_files_of_a_week_ago_are_deleted(storage: Storage, panel: Panel) -> None:
    fill(storage, panel)
    compact(storage, "tiny", spare=0)
    orphan = leave_orphan(storage)
    PriceTable(storage, "tiny").append(night(8), NOON)
    before = reads(storage)
    before_compaction = set(orphan.parent.iterdir())
    compact(storage, "tiny", spare=0)
    assert before_compaction - set(orphan.parent.iterdir()) == {orphan}
    assert reads(storage) == before


def test_killed_at_any_instant_it_changes_no_read(storage: Storage, panel: Panel) -> None:
    fill(storage, panel)
    chance = np.random.default_rng(4)
    for day in range(9, 13):
        PriceTable(storage, "tiny").append(night(day), NOON)  # something to compact again
        before = reads(storage)
        with subprocess.Popen(
            [sys.executable, "-c", COMPACT_WHEN_READY, storage.uri], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, 0.06))
            process.send_signal(signal.SIGKILL)
        assert reads(storage) == before
    compact(storage, "tiny", spare=0)
    assert reads(storage) == before


def test_what_was_replaced_a_week_ago_is_swept_without_a_compaction(storage: Storage, panel: Panel) -> None:
    fill(storage, panel)
    compact(storage, "tiny", spare=0)
    orphan = leave_orphan(storage)
    before = reads(storage)
    assert sweep(storage, "tiny") == {"prices/tiny": 1}
    assert not orphan.exists()
    assert reads(storage) == before
    assert sweep(storage, "tiny") == {}


def test_the_digests_of_every_table_are_taken_again(local_storage: Storage) -> None:
    SplitTable(local_storage, "tiny").add([Split("S", NOON, 0.5)], NOON)
    record = local_storage.get("checksums/splits/tiny.json")
    local_storage.delete(["checksums/splits/tiny.json"])
    sweep(local_storage, "tiny")
    assert local_storage.find("checksums/splits/tiny.json") == record
