"""Static files of the pages: our own style and scripts, and the library that draws charts.

They are in the store under `_assets/`, once for each content, and pages link to them by relative paths. So a
page works from disk, from S3 and behind any web server. A file there never changes and is never removed,
because older pages still use it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources
from pathlib import Path

from forecasting.digests import digest_bytes, digest_record
from forecasting.storage import Storage

ASSETS = "_assets"

# Pages run only scripts that are files of the same store, and ask nothing of any other place. plotly sets
# inline styles.
POLICY = "default-src 'none'; script-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'"

_PLOTLY = "plotly.min.js"


@dataclass(frozen=True)
class AssetLinks:
    """Where a page finds the static files, relative to the page.

    Attributes:
        own: the folder of our own files, such as `../../_assets/0f3a...`.
        plotly: plotly's script.
    """

    own: str
    plotly: str


def put_assets(storage: Storage, *, plotly: bool = True) -> None:
    """Write the static files to the store, unless they are there already, undamaged.

    `plotly` says whether the pages draw charts with plotly.
    """
    _put_folder(storage, _own_folder(), _own_files())
    if plotly:
        _put_folder(storage, _plotly_folder(), {_PLOTLY: _plotly_file()})


def asset_links(page: str) -> AssetLinks:
    """Return where the page at the path `page` of the store finds the static files.

    >>> asset_links("backtests/ecb_fx/1f/_report.html").plotly.startswith("../../../_assets/plotly-")
    True
    """
    root = "../" * page.count("/")
    return AssetLinks(f"{root}{_own_folder()}", f"{root}{_plotly_folder()}/{_PLOTLY}")


def _put_folder(storage: Storage, folder: str, files: Mapping[str, Path]) -> None:
    paths = [f"{folder}/{name}" for name in files]
    for path, file, digest in zip(paths, files.values(), storage.digests(paths), strict=True):
        if digest != _digest(file):
            storage.put(path, file.read_bytes())


@cache
def _digest(file: Path) -> str:
    return digest_bytes(file.read_bytes())


@cache
def _own_files() -> dict[str, Path]:
    folder = Path(str(resources.files("forecasting.reports") / "assets"))
    return {file.name: file for file in sorted(folder.iterdir()) if file.suffix in {".css", ".js"}}


@cache
def _own_folder() -> str:
    """Named by a digest of the files, so that a new version of the package does not change older pages."""
    digests = {name: digest_bytes(file.read_bytes()) for name, file in _own_files().items()}
    return f"{ASSETS}/{digest_record(digests)}"


def _plotly_file() -> Path:
    return Path(str(metadata.distribution("plotly").locate_file(f"plotly/package_data/{_PLOTLY}")))


@cache
def _plotly_folder() -> str:
    return f"{ASSETS}/plotly-{metadata.version('plotly')}"
