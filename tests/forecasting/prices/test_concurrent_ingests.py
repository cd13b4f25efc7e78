"""Simultaneous ingests of one panel in separate processes, as on two machines."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import deltalake
import numpy as np
import pytest
from deltalake.exceptions import CommitFailedError

from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.prices.quarantine import Quarantine
from forecasting.prices.table import PriceTable
from forecasting.storage import Storage

# Both have done their imports before either begins.
INGEST = """\
import json, sys
import numpy as np
from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.storage import Storage
# Each reads its own file, which lacks the rows of the others: `max_shrink` must not stop that.
panel = Panel.model_validate({"name": "tiny", "source": {"uri": sys.argv[1]}, "audit": {"max_shrink": 1}})
storage = Storage(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(ingest(panel, storage, np.datetime64("2020-06-01", "us")).to_record()))
"""
NOW = np.datetime64("2020-06-01", "us")
FIRST = [("A", day, 1.0) for day in range(1, 21)]
SECOND = [("A", day, 1.0) for day in range(11, 21)] + [("B", day, 2.0) for day in range(1, 21)]


def write(path: Path, rows: list[tuple[str, int, float]]) -> Path:
    lines = [f"{name},2020-03-{day:02},{close}" for name, day, close in rows]
    path.write_text("\n".join(["unique_id,ds,close", *lines]) + "\n")
    return path


def ingest_at_once(storage: Storage, files: list[Path]) -> list[dict[str, int]]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", INGEST, str(file), storage.uri],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for file in files
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [json.loads(process.communicate(timeout=120)[0]) for process in processes]


@pytest.mark.parametrize("where", ["local_storage", "s3_storage"])
def test_nothing_is_lost_and_nothing_doubled(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    storage: Storage = request.getfixturevalue(where)
    first, second = write(tmp_path / "first.csv", FIRST), write(tmp_path / "second.csv", SECOND)
    reports = ingest_at_once(storage, [first, second, first])
    assert sum(report["appended"] for report in reports) == 40
    assert all(report["appended"] + report["identical"] == report["offered"] for report in reports)
    rows = PriceTable(storage, "tiny").newest()
    got = [(row["unique_id"], row["ds"].day, row["close"]) for row in rows.to_pylist()]
    assert got == sorted({*FIRST, *SECOND})
    raw = deltalake.DeltaTable(storage.table_uri("prices/tiny"), storage_options=storage.table_options)
    assert raw.count() == 40


def test_many_at_once_all_get_their_turn(local_storage: Storage, tmp_path: Path) -> None:
    files = []
    for number in range(8):
        files.append(write(tmp_path / f"{number}.csv", [(f"S{number}", day, 1.0) for day in range(1, 21)]))
        with files[-1].open("a") as file:
            file.write(f"S{number},2020-03-21,x\n")
    reports = ingest_at_once(local_storage, files)
    assert [(report["appended"], report["newly_quarantined"]) for report in reports] == [(20, 1)] * 8
    assert PriceTable(local_storage, "tiny").newest().num_rows == 160
    assert Quarantine(local_storage, "tiny").rows().num_rows == 8


def test_a_commit_on_s3_cannot_be_written_over(
    s3_storage: Storage, tmp_path: Path, make_panel: Callable[..., Panel]
) -> None:
    panel = make_panel({"uri": str(write(tmp_path / "prices.csv", FIRST))})
    late = PriceTable.create(s3_storage, panel)
    ingest(panel, s3_storage, NOW)
    log = "prices/tiny/_delta_log/00000000000000000001.json"
    before = s3_storage.get(log)
    with pytest.raises(CommitFailedError):
        late.append(PriceTable(s3_storage, "tiny").newest().drop_columns("known_at"), NOW)
    assert s3_storage.get(log) == before
    assert PriceTable(s3_storage, "tiny").version == 1
