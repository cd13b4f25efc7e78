"""The freshness flow, against a real Prefect server."""

import json
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from flows.freshness import freshness
from forecasting.errors import StaleError
from tests.conftest import TINY_PANEL

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_a_panel_without_a_forecast_fails_the_flow_with_an_event_and_a_table(
    tmp_path: Path, events: list[tuple[str, dict[str, Any]]]
) -> None:
    (tmp_path / "tiny.toml").write_text(TINY_PANEL)
    with pytest.raises(
        StaleError, match="1 of 1 panel is not fresh: tiny has no forecast: nothing is published"
    ):
        freshness(store=str(tmp_path / "store"), panels=str(tmp_path))
    ((event, payload),) = events  # and none for the run, which failed because of it
    assert event == "nightcast.forecast.stale"
    assert (payload["panel"], payload["state"]) == ("tiny", "never")
    with get_client(sync_client=True) as client:
        found = client.read_artifacts()
    (table,) = [one for one in found if one.key == "freshness"]
    assert json.loads(table.data)[0]["panel"] == "tiny"
