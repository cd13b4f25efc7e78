import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from forecasting.reports.assets import POLICY, asset_links, put_assets
from forecasting.storage import Storage

ROOT = Path(__file__).parents[3]
PAGES = {"index.html": "", "f/page.html": "../", "forecasts/p/as_of=x/id=y/_report.html": "../../../../"}


@pytest.mark.parametrize(("page", "root"), PAGES.items(), ids=PAGES)
def test_a_page_finds_the_files_from_where_it_is(page: str, root: str, storage: Storage) -> None:
    put_assets(storage)
    links = asset_links(page)
    for link in (f"{links.own}/page.css", f"{links.own}/tables.js", links.plotly):
        assert link.startswith(f"{root}_assets/")
        assert storage.get(link.removeprefix(root))


def test_files_are_written_once(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    put_assets(storage)
    before = storage.list_times("_assets")
    put_assets(storage)
    assert storage.list_times("_assets") == before


def test_a_file_that_is_missing_is_written_again(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    put_assets(storage)
    before = storage.list("_assets")
    storage.delete([path for path in before if path.endswith("/page.css")])
    put_assets(storage)
    assert storage.list("_assets") == before


def test_a_page_without_charts_needs_no_plotly(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    put_assets(storage, plotly=False)
    assert not any("plotly" in path for path in storage.list("_assets"))


def test_plotly_is_in_a_folder_of_its_version() -> None:
    assert asset_links("index.html").plotly == f"_assets/plotly-{metadata.version('plotly')}/plotly.min.js"


def test_the_policy_allows_no_inline_script_and_no_eval() -> None:
    scripts = next(part for part in POLICY.split("; ") if part.startswith("script-src"))
    assert scripts == "script-src 'self'"


def test_the_wheel_has_the_files(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    files = {path.name for path in (ROOT / "forecasting" / "reports" / "assets").iterdir()}
    packed = zipfile.ZipFile(wheel).namelist()
    assert files <= {name.rpartition("/")[2] for name in packed if "/reports/assets/" in name}
