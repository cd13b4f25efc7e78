"""A real browser, and a real Prefect server with its UI, which a run of the tiny panel has reported to."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import TINY_PANEL, write_prices
from tests.prefect_server import prefect_server

_BIN = Path(sys.executable).parent
# Without these Chromium calls home at every start.
_OFFLINE = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
)


@dataclass(frozen=True)
class Night:
    """What a run left: the server's address, and the store."""

    server: str
    store: Path

    def first(self, kind: str, match: dict[str, str]) -> dict[str, str]:
        """The first record of a kind that the server has with those values."""
        found = httpx.post(f"{self.server}/api/{kind}/filter", json={}).raise_for_status().json()
        return next(record for record in found if match.items() <= record.items())


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *_OFFLINE])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def night(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:  # noqa: ARG001 - or skip
    folder = tmp_path_factory.mktemp("night")
    write_prices(folder / "prices.csv", {"AAA": 400, "BBB": 400, "C/C": 400})
    (folder / "tiny.toml").write_text(TINY_PANEL, encoding="utf-8")
    with prefect_server(folder) as server:
        environment = {**os.environ, **server.environment}
        run = [str(_BIN / "nightcast"), "run", "tiny.toml"]
        subprocess.run(run, cwd=folder, env=environment, check=True, capture_output=True, timeout=240)
        yield Night(server.address, folder / "store")


@pytest.fixture(scope="session")
def report(night: Night) -> Path:
    """The report of that run."""
    pointer = json.loads((night.store / "latest" / "tiny.json").read_text(encoding="utf-8"))
    return (night.store / pointer["path"]).parent / "_report.html"
