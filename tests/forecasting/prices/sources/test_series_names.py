import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.sources import read_source

LINES = "ds,close\n2020-01-02,1\n"


def ids(folder: Path, make_panel: Callable[..., Panel], uri: str, **source: str) -> list[str]:
    settings = {"id_column": "", **source}
    offered = pa.concat_tables(read_source(make_panel({"uri": str(folder / uri), **settings})))
    return sorted(set(offered["unique_id"].to_pylist()))


def write(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(LINES)


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["d/ACME/daily.csv", "d/BOLT/daily.csv"], ["ACME", "BOLT"]),
        (["d/symbol=ACME/part-0.csv", "d/symbol=BOLT/part-0.csv"], ["ACME", "BOLT"]),
        (["d/symbol=A%2FB/year=2020/p.csv", "d/symbol=C/year=2020/p.csv"], ["A/B", "C"]),
        (["d/ACME/2020/daily.csv", "d/BOLT/2020/daily.csv", "d/ACME/2021/daily.csv"], ["ACME", "BOLT"]),
        (["d/2020/ACME.csv", "d/2021/ACME.csv", "d/2021/BOLT.csv"], ["ACME", "BOLT"]),
        (["d/nyse/ACME.csv", "d/nasdaq/BOLT.csv"], ["ACME", "BOLT"]),
    ],
)
def test_ids_of_files_in_folders(
    tmp_path: Path, make_panel: Callable[..., Panel], paths: list[str], found: list[str]
) -> None:
    write(tmp_path, *paths)
    assert ids(tmp_path, make_panel, "d") == found
    assert ids(tmp_path, make_panel, "d/**/*.csv") == found


def test_what_no_folder_tells_apart_is_refused_by_name(
    tmp_path: Path, make_panel: Callable[..., Panel]
) -> None:
    write(tmp_path, "d/nyse/ACME.csv", "d/nasdaq/ACME.csv", "d/nasdaq/BOLT.csv")
    with pytest.raises(SourceError, match=r"nasdaq/ACME.csv and .*nyse/ACME.csv have one name"):
        ids(tmp_path, make_panel, "d")


def test_a_column_named_by_folders_needs_not_be_in_the_files(
    tmp_path: Path, make_panel: Callable[..., Panel]
) -> None:
    write(tmp_path, "d/symbol=ACME/a.csv", "d/symbol=BOLT/b.csv")
    assert ids(tmp_path, make_panel, "d", id_column="symbol") == ["ACME", "BOLT"]


def test_an_archive_of_files_of_one_name_takes_its_folders(
    tmp_path: Path, make_panel: Callable[..., Panel]
) -> None:
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for name in ("ACME", "BOLT"):
            archive.writestr(f"{name}/daily.csv", LINES)
    assert ids(tmp_path, make_panel, "d.zip") == ["ACME", "BOLT"]


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ("_delta_log/0.json", "is a Delta table"),
        (".hoodie/x", "is a Hudi table"),
        ("metadata/v1.metadata.json", "an Iceberg table"),
    ],
)
def test_single_files_of_a_table_are_never_read(
    tmp_path: Path, make_panel: Callable[..., Panel], mark: str, words: str
) -> None:
    write(tmp_path, "t/part-0.csv", f"t/{mark}")
    with pytest.raises(SourceError, match=words):
        ids(tmp_path, make_panel, "t/*.csv")
