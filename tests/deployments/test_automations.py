"""Notifications by a real Prefect server, to a real receiver."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.automations import apply_automations
from tests.conftest import TINY_PANEL
from tests.prefect_server import PrefectServer
from tests.receiver import Receiver, receiver

NAMES = {
    *("nightcast notifies: nightcast.run.failed", "nightcast notifies: nightcast.breaker.tripped"),
    *("nightcast notifies: nightcast.baseline.stands-in", "nightcast notifies: nightcast.forecast.stale"),
    "nightcast notifies: prefect.flow-run.Crashed",
}


@pytest.fixture(scope="module")
def there(server: PrefectServer) -> Iterator[Receiver]:
    """A receiver that the server's automations, registered twice, post to."""
    with receiver() as started, temporary_settings({PREFECT_API_URL: server.api}):
        apply_automations("http://127.0.0.1:9/an-old-address", ["nightly"])
        assert set(apply_automations(started.url, ["nightly", "freshness"])) == NAMES
        yield started
        with get_client(sync_client=True) as client:  # others use this server too
            for automation in client.read_automations():
                if automation.name in NAMES:
                    client.delete_automation(automation.id)


def start(server: PrefectServer, folder: Path, *words: str, **settings: str) -> str:
    """Run a Python program against the server to its end; what it wrote."""
    environment = {**os.environ, **server.environment, "PREFECT_HOME": str(folder / "home"), **settings}
    command = [sys.executable, *words]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout + done.stderr


def test_registering_twice_gives_one_of_each(server: PrefectServer, there: Receiver) -> None:
    with temporary_settings({PREFECT_API_URL: server.api}), get_client(sync_client=True) as client:
        names = [one.name for one in client.read_automations() if one.name.startswith("nightcast")]
        blocks = client.request("POST", "/block_documents/filter", json={"include_secrets": False})
    assert sorted(names) == sorted(NAMES)
    assert "nightcast-notifications" in blocks.text
    assert there.url not in blocks.text


def test_a_failed_run_is_posted_once_by_the_server_and_not_by_the_run(
    server: PrefectServer, there: Receiver, tiny_panel: Path
) -> None:
    (tiny_panel.parent / "prices.csv").unlink()
    command = "from deployments.start import main; main()"
    words = ("-c", command, "run", "tiny.toml")
    said = start(server, tiny_panel.parent, *words, NIGHTCAST_WEBHOOK=there.url)
    assert "no file at" in said
    message = there.wait_for(lambda message: message["event"] == "nightcast.run.failed")
    assert message["text"].startswith("Nightcast: nightly of tiny failed: no file at ")
    assert message["panel"] == "tiny"
    assert [one["event"] for one in there.messages].count("nightcast.run.failed") == 1
    assert "secret" not in said


def test_a_stale_forecast_is_posted(server: PrefectServer, there: Receiver, tmp_path: Path) -> None:
    (tmp_path / "lonely.toml").write_text(TINY_PANEL.replace('"tiny"', '"lonely"'))
    command = f"from flows.freshness import freshness; freshness(store='store', panels={str(tmp_path)!r})"
    said = start(server, tmp_path, "-c", command)
    assert "StaleError" in said
    message = there.wait_for(lambda message: message["event"] == "nightcast.forecast.stale")
    assert message["text"] == (
        "Nightcast: lonely has no forecast: nothing is published yet; "
        f"run: PREFECT_API_URL={server.api} nightcast run lonely --store {tmp_path}/store --panels {tmp_path}"
    )
    assert message["payload"]["state"] == "never"


def test_a_crashed_run_of_ours_is_posted(server: PrefectServer, there: Receiver, tmp_path: Path) -> None:
    program = (
        "import os, prefect\n"
        "@prefect.flow(name='nightly', flow_run_name='nightly-tiny')\n"
        "def night():\n"
        "    raise SystemExit('out of memory')\n"
        "night()\n"
    )
    start(server, tmp_path, "-c", program)
    message = there.wait_for(lambda message: message["event"] == "prefect.flow-run.Crashed")
    assert message["text"].startswith("Nightcast: the run nightly-tiny crashed: ")
