"""What all tests share."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from forecasting.digests import digest_bytes
from forecasting.storage import Storage
from tests.chromium import CHROMIUM, NO_CHROMIUM
from tests.postgresql import missing_postgresql
from tests.prefect_server import PrefectServer, prefect_server

# Trainings of tests wait for nobody else's on this machine. The tests of waiting set the number themselves.
os.environ["NIGHTCAST_TRAININGS"] = "64"

# The same examples in every run, however busy the machine is: a test that fails is to fail again.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")

SAMPLES = Path(__file__).parent.parent / "samples"
LIBRARY = Path(__file__).parent / "forecasting"


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say how long all tests take, and which are skipped on this machine."""
    missing = [
        f"skipped: {tests}, because {reason}"
        for tests, reason in (
            ("tests in a browser", None if CHROMIUM else NO_CHROMIUM),
            ("tests with PostgreSQL", missing_postgresql()),
        )
        if reason
    ]
    duration = "all tests: about a quarter of an hour on two cores, in four processes"
    return missing if config.args != config.getini("testpaths") else [duration, *missing]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The library's files come last: they are many and short, so both processes end at about one time."""
    items.sort(key=lambda item: LIBRARY in item.path.parents)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test may skip for want of a browser or a service, but not where they are promised to be there."""
    report = yield
    if report.skipped and os.environ.get("NIGHTCAST_FORBID_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} was skipped, which NIGHTCAST_FORBID_SKIPS forbids: {report.longrepr}"
        )
    return report


@pytest.fixture
def local_storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "store"))


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """The events of ours that are sent to the server meanwhile, each with its payload."""
    sent: list[tuple[str, dict[str, Any]]] = []

    def keep(event: str, resource: dict[str, str], payload: dict[str, Any]) -> None:
        assert resource["prefect.resource.id"] == f"nightcast.panel.{payload['panel']}"
        sent.append((event, payload))

    monkeypatch.setattr("tasks.events.emit_event", keep)
    return sent


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A real S3 protocol server on loopback; its endpoint."""
    with serve_s3() as endpoint:
        yield endpoint


@contextmanager
def serve_s3() -> Iterator[str]:
    """Run such a server, in a process of its own: deltalake holds this one's lock while it waits."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
        server.terminate()


def _wait_for(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port} after 30 s")


@pytest.fixture
def s3_storage(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Storage:
    """A store in a new bucket of that server."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    bucket = f"test-{digest_bytes(str(tmp_path).encode())[:20]}"
    httpx.put(f"{s3_server}/{bucket}").raise_for_status()
    return Storage(f"s3://{bucket}/store")


@pytest.fixture(scope="module")  # a server costs processor time, idle too
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A real Prefect server for whatever does not mind that others use it too."""
    with prefect_server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest) -> Storage:
    """A local store, then one on S3."""
    found: Storage = request.getfixturevalue(f"{request.param}_storage")
    return found


@pytest.fixture
def tiny_panel(tmp_path: Path) -> Path:
    """A panel file, and beside it its source: three random walks. The pretrained network is fitted to it."""
    return write_panel(tmp_path, TINY_PANEL)


@pytest.fixture
def trained_panel(tmp_path: Path) -> Path:
    """The same with a network that is trained from random weights, which costs ten processor seconds more."""
    return write_panel(tmp_path, TRAINED_PANEL)


TINY_PANEL = """\
name = "tiny"
[source]
uri = "prices.csv"
[forecast]
horizon = 5
[retrain]
holdout = 60
"""
TRAINED_PANEL = f"""\
{TINY_PANEL}\
[model]
context = 20
units = [4, 3]
training_steps = 20
batch_size = 32
"""


def write_panel(folder: Path, text: str) -> Path:
    """The panel file of this text, and its source."""
    write_prices(folder / "prices.csv", {"AAA": 400, "BBB": 400, "C/C": 400})
    path = folder / "tiny.toml"
    path.write_text(text, encoding="utf-8")
    return path


def write_prices(path: Path, bars: dict[str, int], last: str = "2026-10-30") -> None:
    """A long CSV of daily random walks, so many bars each, that all end on the date `last`."""
    rows = ["unique_id,ds,close"]
    for number, (unique_id, count) in enumerate(bars.items()):
        steps = np.random.default_rng(number).normal(0, 0.01, count)
        days = np.datetime64(last) - np.arange(count)[::-1]
        rows += [
            f"{unique_id},{day},{100 * np.exp(y):.6f}" for day, y in zip(days, steps.cumsum(), strict=True)
        ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
