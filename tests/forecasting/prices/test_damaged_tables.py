"""Files of Delta tables that are cut short, flipped or gone: named, set aside, or restored."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from forecasting.errors import StoreError
from forecasting.panel import Panel
from forecasting.prices.compaction import compact
from forecasting.prices.damaged_tables import check_tables, set_aside_damaged
from forecasting.prices.ingest import ingest
from forecasting.prices.quarantine import Quarantine
from forecasting.prices.restore import restore_prices
from forecasting.prices.table import PriceTable
from forecasting.prices.table_files import find_damage, read_record, record_path, remember_files
from forecasting.storage import Storage
from tests.conftest import write_prices

NOON = np.datetime64("2026-11-20T12:00", "us")
DAY = np.timedelta64(1, "D")
PRICES = "prices/tiny"


@pytest.fixture
def panel(tiny_panel: Path) -> Panel:
    return Panel.load(tiny_panel)


@pytest.fixture
def filled(panel: Panel, local_storage: Storage) -> Storage:
    """A store after four nights, with a row in the quarantine."""
    source = tiny_source(panel)
    for night in range(4):
        write_prices(source, {"AAA": 60 + night, "BBB": 60 + night})
        with source.open("a") as lines:
            lines.write("AAA,2026-10-01,nonsense\n")
        ingest(panel, local_storage, NOON + night * DAY)
    return local_storage


def tiny_source(panel: Panel) -> Path:
    assert panel.file is not None
    return panel.file.parent / "prices.csv"


def rows(storage: Storage) -> pa.Table:
    return PriceTable(storage, "tiny").first_vintage()


def count(storage: Storage) -> int:
    return DeltaTable(storage.table_uri(PRICES)).count()


def files(storage: Storage, suffix: str, path: str = PRICES) -> list[Path]:
    """The newest one last."""
    found = Path(storage.uri, path).rglob(f"*{suffix}")
    return sorted(found, key=lambda file: file.stat().st_mtime_ns)


def test_a_file_of_an_undamaged_table_has_its_digest(filled: Storage) -> None:
    assert find_damage(filled, PRICES) == ()
    assert find_damage(filled, "quarantine/tiny") == ()
    there = {file.removeprefix(f"{PRICES}/") for file in filled.list(PRICES)}
    assert read_record(filled, PRICES).files.keys() == there


def test_no_flipped_bit_of_a_price_file_is_read_in_silence(panel: Panel, filled: Storage) -> None:
    file, choose = files(filled, ".parquet")[0], np.random.default_rng(20261128)
    whole, before, silent = file.read_bytes(), rows(filled), 0
    for _ in range(20):
        flipped = bytearray(whole)
        flipped[choose.integers(len(whole))] ^= 1 << int(choose.integers(8))
        file.write_bytes(flipped)
        with pytest.raises(StoreError, match=f"{file.name} .its digest differs"):
            check_tables(panel, filled)
        try:
            silent += not rows(filled).equals(before)
        except StoreError:
            continue
    assert silent > 0  # what the digests are for


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "flipped"])
@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_a_damaged_price_file_stops_the_ingest_and_is_named_with_the_way_back(
    panel: Panel, filled: Storage, suffix: str, damage: str
) -> None:
    file = files(filled, suffix)[-1]
    hurt(file, damage)
    with pytest.raises(StoreError) as error:
        ingest(panel, filled, NOON + 5 * DAY)
    message = str(error.value)
    assert f"{file.name} (" in message
    assert "is damaged" in message
    assert f"run: nightcast restore tiny --store {filled.uri} --panels " in message
    assert "\n" not in message


def hurt(file: Path, damage: str) -> None:
    data = file.read_bytes()
    if damage == "gone":
        file.unlink()
        return
    flipped = bytes([*data[: len(data) // 2], data[len(data) // 2] ^ 16, *data[len(data) // 2 + 1 :]])
    file.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "flipped": flipped}[damage])


@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_other_commands_name_the_damaged_file_too(filled: Storage, suffix: str) -> None:
    file = files(filled, suffix)[-1]
    hurt(file, "cut")
    with pytest.raises(StoreError, match=rf"{file.name} \(.*nightcast restore tiny --store"):
        rows(filled)


def test_rows_of_a_damaged_file_are_restored_from_the_files_that_a_compaction_replaced(
    panel: Panel, filled: Storage
) -> None:
    before, whole = rows(filled), count(filled)
    compact(filled, "tiny", spare=0)
    hurt(files(filled, ".parquet")[-1], "flipped")
    done = restore_prices(panel, filled, NOON + 5 * DAY)
    assert (done.lost, done.rows, done.ranges) == (0, whole, ())
    assert rows(filled).equals(before)
    assert filled.list(done.aside)
    check_tables(panel, filled)
    assert ingest(panel, filled, NOON + 5 * DAY).appended == 0


def test_rows_that_are_in_no_other_file_are_counted_and_read_again_from_the_source(
    panel: Panel, filled: Storage
) -> None:
    newest, whole = PriceTable(filled, "tiny").newest(), count(filled)
    hurt(files(filled, ".parquet")[-1], "cut")
    done = restore_prices(panel, filled, NOON + 5 * DAY)
    assert done.rows + (done.lost or 0) == whole
    assert done.ranges == ("2026-08-29 to 2026-10-30",)
    ingest(panel, filled, NOON + 5 * DAY)
    again = PriceTable(filled, "tiny").newest()
    assert again.drop_columns("known_at").equals(newest.drop_columns("known_at"))


def test_a_table_whose_log_is_lost_is_restored_with_its_vintages(panel: Panel, filled: Storage) -> None:
    before, whole = rows(filled), count(filled)
    for file in files(filled, ".json"):
        file.unlink()
    done = restore_prices(panel, filled, NOON + 5 * DAY)
    assert (done.lost, done.rows) == (None, whole)
    assert rows(filled).equals(before)


@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_a_commit_that_a_power_cut_tore_is_mended_by_the_next_ingest(
    panel: Panel, filled: Storage, suffix: str
) -> None:
    noted = {path: filled.get(path) for path in (record_path(PRICES), "sources/tiny.json")}
    write_prices(tiny_source(panel), {"AAA": 70, "BBB": 70})
    ingest(panel, filled, NOON + 5 * DAY)
    newest = PriceTable(filled, "tiny").newest()
    for path, data in noted.items():  # the cut came before these were written
        filled.put(path, data)
    hurt(files(filled, suffix)[-1], "cut")
    report = ingest(panel, filled, NOON + 6 * DAY)
    assert [finding.code for finding in report.findings].count("P208") == 1
    again = PriceTable(filled, "tiny").newest()
    assert again.drop_columns("known_at").equals(newest.drop_columns("known_at"))
    assert ingest(panel, filled, NOON + 7 * DAY).appended == 0


def test_a_table_on_s3_is_restored(panel: Panel, s3_storage: Storage) -> None:
    ingest(panel, s3_storage, NOON)
    before = rows(s3_storage)
    (log,) = (path for path in s3_storage.list(PRICES) if path.endswith("1.json"))
    s3_storage.put(log, b"{")
    done = restore_prices(panel, s3_storage, NOON + DAY)
    assert s3_storage.get(log.replace(PRICES, done.aside)) == b"{"
    assert rows(s3_storage).equals(before)


def test_a_whole_table_is_not_restored(panel: Panel, filled: Storage) -> None:
    with pytest.raises(StoreError, match="is whole; there is nothing to restore"):
        restore_prices(panel, filled, NOON)


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "flipped"])
@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_a_damaged_quarantine_is_set_aside_and_filled_again(
    panel: Panel, filled: Storage, suffix: str, damage: str
) -> None:
    hurt(files(filled, suffix, "quarantine/tiny")[-1], damage)
    with pytest.raises(StoreError, match=r"quarantine/tiny is damaged.*the next run sets it aside"):
        check_tables(panel, filled)
    report = ingest(panel, filled, NOON + 5 * DAY)
    (finding,) = (finding for finding in report.findings if finding.code == "P208")
    assert "kept as quarantine/tiny.damaged-20261125T120000000000Z" in finding.detail
    assert filled.list("quarantine/tiny.damaged-20261125T120000000000Z")
    assert (report.appended, report.newly_quarantined) == (0, 1)
    assert Quarantine(filled, "tiny").rows()["raw"].to_pylist() == ['close="nonsense"']
    again = ingest(panel, filled, NOON + 6 * DAY)
    assert [finding for finding in again.findings if finding.code == "P208"] == []


def test_a_damaged_score_table_on_s3_is_set_aside(panel: Panel, s3_storage: Storage) -> None:
    Quarantine(s3_storage, "tiny")  # none yet
    s3_storage.put("scores/tiny/_delta_log/00000000000000000000.json", b"{")
    (finding,) = set_aside_damaged(panel, s3_storage, NOON)
    assert "published forecasts are scored again" in finding.detail
    assert s3_storage.list("scores/tiny") == []
    assert len(s3_storage.list("scores")) == 1


def test_a_damaged_record_of_digests_is_made_again(panel: Panel, filled: Storage) -> None:
    filled.put(record_path(PRICES), b"junk")
    check_tables(panel, filled)
    remember_files(filled, PRICES)
    assert len(read_record(filled, PRICES).files) == len(filled.list(PRICES))


def test_a_price_table_that_a_person_moved_away_is_begun_anew(panel: Panel, filled: Storage) -> None:
    Path(filled.uri, PRICES).rename(Path(filled.uri, "moved"))
    Path(filled.uri, "sources/tiny.json").unlink()
    assert ingest(panel, filled, NOON + 5 * DAY).appended > 0
    check_tables(panel, filled)
