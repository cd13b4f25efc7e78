"""A real Prefect server for the flows to run against."""

import os
from collections.abc import Iterator

import pytest
from prefect.testing.utilities import prefect_test_harness

from tests.prefect_home import make_database


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    folder = tmp_path_factory.mktemp("harness")
    make_database(folder / "prefect-test.db")  # as the harness calls it
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prefect.testing.utilities.mkdtemp", lambda: str(folder))
        with prefect_test_harness(server_startup_timeout=120):
            yield
