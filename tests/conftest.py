"""What all tests share."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer

from forecasting.digests import digest_bytes
from forecasting.storage import Storage

SAMPLES = Path(__file__).parent.parent / "samples"


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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A real S3 protocol server on loopback; its endpoint."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


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


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest) -> Storage:
    """A local store, then one on S3."""
    found: Storage = request.getfixturevalue(f"{request.param}_storage")
    return found
