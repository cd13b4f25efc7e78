"""What the tests of the command line and of its servers share."""

from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings


@pytest.fixture(autouse=True)
def no_server_is_configured() -> Iterator[None]:
    """Tests of flows that ran in this process before leave a server in Prefect's settings."""
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        yield
