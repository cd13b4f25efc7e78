"""The temporary Prefect server of a single command."""

from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
)
from prefect.settings import temporary_settings as settings

from deployments.temporary_server import TemporaryServer
from forecasting.errors import ServerError
from tasks.server_kind import has_lasting_server
from tests.prefect_home import used_home


def test_it_answers_until_the_end_and_counts_as_no_lasting_server(tmp_path: Path) -> None:
    slow_machine = {PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 120}
    home = used_home(tmp_path / "prefect")
    with settings({PREFECT_HOME: home, **slow_machine}, restore_defaults={PREFECT_API_URL}):
        assert not has_lasting_server()
        with TemporaryServer().running():
            address = PREFECT_API_URL.value()
            assert not has_lasting_server()
            with get_client(sync_client=True) as client:
                assert client.api_healthcheck() is None
        assert PREFECT_API_URL.value() is None
    with settings({PREFECT_API_URL: address}):
        assert has_lasting_server()
        with get_client(sync_client=True) as client:
            assert client.api_healthcheck() is not None


def test_one_that_does_not_start_says_why_in_one_line(tmp_path: Path) -> None:
    nowhere = f"sqlite+aiosqlite:///{tmp_path}/none/prefect.db"
    with (
        settings(
            {PREFECT_HOME: tmp_path, PREFECT_SERVER_DATABASE_CONNECTION_URL: nowhere},
            restore_defaults={PREFECT_API_URL},
        ),
        pytest.raises(ServerError, match=r"did not start \(.*unable to open database file\); check PREFECT"),
        TemporaryServer().running(),
    ):
        pytest.fail("it runs")
