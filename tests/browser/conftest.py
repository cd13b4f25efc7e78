"""A real browser, and a real Prefect server with its UI, which a run of the tiny panel has reported to."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.chromium import CHROMIUM, NO_CHROMIUM
from tests.conftest import TINY_PANEL, write_panel
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
    """What a run left: the server's address, the store, and the environment to do more with them."""

    server: str
    store: Path
    environment: dict[str, str]

    def run(self, *words: str) -> None:
        """Run the tiny panel; where its forecast is published already, that changes nothing."""
        command = [str(_BIN / "nightcast"), "run", "tiny.toml", *words]
        folder = self.store.parent
        subprocess.run(
            command, cwd=folder, env=self.environment, check=True, capture_output=True, timeout=240
        )

    def first(self, kind: str, match: dict[str, Any]) -> dict[str, Any]:
        """The first record of a kind that the server has with those values."""
        return next(record for record in self.records(kind) if match.items() <= record.items())

    def nightly_run(self) -> dict[str, Any]:
        """The first nightly run of the command line. Others are from forms."""
        match = {"flow_id": self.first("flows", {"name": "nightly"})["id"], "deployment_id": None}
        runs = self.records("flow_runs", sort="START_TIME_ASC")
        return next(run for run in runs if match.items() <= run.items())

    def records(self, kind: str, **condition: Any) -> list[dict[str, Any]]:
        """Those of a kind that the server has."""
        found: list[dict[str, Any]] = (
            httpx.post(f"{self.server}/api/{kind}/filter", json=condition).raise_for_status().json()
        )
        return found


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the browser is."""
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)
    return CHROMIUM


# Playwright runs an event loop all the while, which Prefect elsewhere must not find.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *_OFFLINE])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")  # a server costs processor time, idle too
def night(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:  # noqa: ARG001 - or skip
    folder = tmp_path_factory.mktemp("night")
    write_panel(folder, TINY_PANEL)
    with prefect_server(folder) as server:
        environment = {**os.environ, **server.environment}
        found = Night(server.address, folder / "store", environment)
        found.run()
        yield found


@pytest.fixture(scope="module")  # a server costs processor time, idle too
def served(night: Night) -> Iterator[Night]:
    """That server, with `nightcast serve` at work on it: every deployment is there to be run."""
    folder = night.store.parent
    command = [str(_BIN / "nightcast"), "serve", "--panels", str(folder), "--store", str(night.store)]
    with (
        (folder / "serve.log").open("wb") as log,
        subprocess.Popen(command, cwd=folder, env=night.environment, stdout=log, stderr=log) as serve,
    ):
        try:
            _wait_for_ready(night)
            yield night
        finally:
            serve.terminate()
            serve.wait(timeout=60)


def _wait_for_ready(night: Night) -> None:
    for _ in range(240):
        found = night.records("deployments")
        if found and all(deployment["status"] == "READY" for deployment in found):
            return
        time.sleep(0.5)
    raise TimeoutError("nightcast serve has no deployment ready after two minutes")
