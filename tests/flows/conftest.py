"""A real Prefect server for the flows to run against."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from prefect.testing.utilities import prefect_test_harness


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """The events of ours that are sent to the server meanwhile, each with its payload."""
    sent: list[tuple[str, dict[str, Any]]] = []

    def keep(event: str, resource: dict[str, str], payload: dict[str, Any]) -> None:
        assert resource["prefect.resource.id"] == f"nightcast.panel.{payload['panel']}"
        sent.append((event, payload))

    monkeypatch.setattr("tasks.events.emit_event", keep)
    return sent
