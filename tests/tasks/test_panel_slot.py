"""The limit of one run of a panel at a time, on a real Prefect server."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partialmethod
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks import panel_slot as panel_slot_module
from tasks.panel_slot import Sign, panel_slot
from tests.prefect_server import PrefectServer

QUICK = {"_POLL_SECONDS": 0.2, "_SIGN_SECONDS": 0.2, "_SILENT_SECONDS": 30.0}
HOLDER = """
import time
from tasks.panel_slot import panel_slot
with panel_slot("killed"):
    print("holds", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _quick(server: PrefectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, seconds in QUICK.items():
        monkeypatch.setattr(panel_slot_module, name, seconds)
    with temporary_settings({PREFECT_API_URL: server.api}):
        yield


@pytest.fixture
def soon_dead(_quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a run for dead soon. Other tests do not: on a busy machine, a live run may be silent as long."""
    monkeypatch.setattr(panel_slot_module, "_SILENT_SECONDS", 4.0)


def active_slots(panel: str) -> int:
    with get_client(sync_client=True) as client:
        return client.read_global_concurrency_limit_by_name(f"nightcast-{panel}").active_slots


class Run(threading.Thread):
    """A run of a panel beside this one: it holds the slot from `holds` until it is told to `end`."""

    def __init__(self, server: PrefectServer, panel: str, order: list[str], name: str) -> None:
        super().__init__(name=name)
        self._server, self._panel, self._order = server, panel, order
        self.holds, self.end = threading.Event(), threading.Event()

    def run(self) -> None:
        with temporary_settings({PREFECT_API_URL: self._server.api}), panel_slot(self._panel):
            self._order.append(self.name)
            self.holds.set()
            assert self.end.wait(60)


def wait_for_line(caplog: pytest.LogCaptureFixture, text: str) -> None:
    for _ in range(600):
        if text in caplog.text:
            return
        time.sleep(0.05)
    raise TimeoutError(f"no line says {text!r}: {caplog.text}")


def test_the_slot_is_taken_and_given_back() -> None:
    with panel_slot("alone"):
        assert active_slots("alone") == 1
    assert active_slots("alone") == 0


def test_a_failed_run_gives_it_back() -> None:
    with pytest.raises(ValueError, match="went wrong"), panel_slot("failed"):
        raise ValueError("went wrong")
    assert active_slots("failed") == 0


def test_panels_do_not_wait_for_each_other() -> None:
    with panel_slot("one"), panel_slot("other"):
        assert active_slots("one") == active_slots("other") == 1


def test_the_second_run_waits_and_says_for_whom(
    server: PrefectServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tasks.panel_slot")
    order: list[str] = []
    second = Run(server, "twice", order, "second")
    with panel_slot("twice"):
        second.start()
        wait_for_line(caplog, "limit: twice waits for a run")
        order.append("first")
    second.end.set()
    second.join(60)
    assert order == ["first", "second"]
    assert active_slots("twice") == 0


def test_a_waiting_run_goes_before_the_next_one_that_gives_way(
    server: PrefectServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tasks.panel_slot")
    order: list[str] = []
    nightly = Run(server, "between", order, "nightly")
    nightly.end.set()
    with panel_slot("between", gives_way=True):
        nightly.start()
        wait_for_line(caplog, "limit: between waits for a run")
        order.append("first as_of")
    with panel_slot("between", gives_way=True):
        order.append("second as_of")
    nightly.join(60)
    assert order == ["first as_of", "nightly", "second as_of"]


@pytest.mark.usefixtures("soon_dead")
def test_a_run_that_died_while_waiting_holds_nobody_up() -> None:
    with get_client(sync_client=True) as client:
        panel_slot_module.sign_of("waiting", "ghost", client).show()
    with panel_slot("ghost", gives_way=True):
        assert active_slots("ghost") == 1


@pytest.mark.usefixtures("soon_dead")
def test_the_slot_of_a_killed_run_is_freed(server: PrefectServer, caplog: pytest.LogCaptureFixture) -> None:
    command = [sys.executable, "-c", HOLDER]
    environment = {**os.environ, **server.environment}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "holds\n"
        killed.kill()
    assert active_slots("killed") == 1
    with panel_slot("killed"):
        assert active_slots("killed") == 1
    assert "limit: frees the slot of a run" in caplog.text
    assert active_slots("killed") == 0


@pytest.mark.usefixtures("soon_dead")
def test_a_slot_that_the_server_forgot_the_lease_of_is_freed(caplog: pytest.LogCaptureFixture) -> None:
    with panel_slot("forgotten"):
        pass
    with get_client(sync_client=True) as client:
        client.update_global_concurrency_limit(
            "nightcast-forgotten", GlobalConcurrencyLimitUpdate(active_slots=1)
        )
    with panel_slot("forgotten"):
        assert active_slots("forgotten") == 1
    assert "limit: frees the slot of a run without a name" in caplog.text


def test_a_live_run_whose_lease_the_server_forgot_keeps_the_slot_to_its_end(
    server: PrefectServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panel_slot_module, "_SILENT_SECONDS", 10.0)
    caplog.set_level("INFO", "tasks.panel_slot")
    order: list[str] = []
    second = Run(server, "restarted", order, "second")
    second.end.set()
    with panel_slot("restarted"), get_client(sync_client=True) as client:
        shown = panel_slot_module.sign_of("holder", "restarted", client).read()
        assert shown is not None
        client.release_concurrency_slots_with_lease(UUID(shown["lease"]))
        client.update_global_concurrency_limit(
            "nightcast-restarted", GlobalConcurrencyLimitUpdate(active_slots=1)
        )
        second.start()
        wait_for_line(caplog, "limit: restarted waits for a run")
        assert not second.holds.wait(10.5)
    second.join(60)
    assert order == ["second"]
    assert active_slots("restarted") == 0
    assert "frees the slot" not in caplog.text


@pytest.mark.usefixtures("soon_dead")
def test_two_runs_that_find_the_same_dead_holder_do_not_both_take_its_slot(
    server: PrefectServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "tasks.panel_slot")
    with panel_slot("raced"):
        pass
    with get_client(sync_client=True) as client:  # a holder that died without a sign
        client.update_global_concurrency_limit(
            "nightcast-raced", GlobalConcurrencyLimitUpdate(active_slots=1)
        )
    first = Run(server, "raced", [], "first")
    read = Sign.read

    def end_first() -> None:
        wait_for_line(caplog, "limit: raced waits for a run (no flow run)")
        first.end.set()

    def read_and_be_overtaken(sign: Sign) -> dict[str, Any] | None:
        """Once this run has found the holder dead, let the first run find it too, and take the slot."""
        shown = read(sign)
        is_ours = threading.current_thread() is threading.main_thread()
        if is_ours and sign.name.endswith("holder") and sign.is_silent and not first.ident:
            first.start()
            assert first.holds.wait(60)
            threading.Thread(target=end_first, daemon=True).start()
        return shown

    monkeypatch.setattr(Sign, "read", read_and_be_overtaken)
    with panel_slot("raced"):
        assert first.end.is_set()
    first.join(60)
    assert active_slots("raced") == 0


@pytest.mark.parametrize("role", ["holder", "waiting"])
def test_a_slot_that_was_won_is_held_though_a_sign_fails(
    server: PrefectServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    fail = httpx.ConnectError("connection refused")
    failed: list[str] = []

    def refuse_once(sign: Sign, method: Callable[..., None], **facts: str) -> None:
        is_ours = threading.current_thread() is threading.main_thread()
        if is_ours and sign.name.endswith(role) and sign.name not in failed:
            failed.append(sign.name)
            raise fail
        method(sign, **facts)

    caplog.set_level("INFO", "tasks.panel_slot")
    order: list[str] = []
    first = Run(server, f"kept-{role}", order, "first")
    first.start()
    assert first.holds.wait(60)
    name = "show" if role == "holder" else "remove"
    monkeypatch.setattr(Sign, name, partialmethod(refuse_once, getattr(Sign, name)))

    def end_first() -> None:
        wait_for_line(caplog, f"limit: kept-{role} waits for a run")
        first.end.set()

    threading.Thread(target=end_first, daemon=True).start()
    with panel_slot(f"kept-{role}"):
        assert active_slots(f"kept-{role}") == 1
    first.join(60)
    assert failed == [f"nightcast-kept-{role}-{role}"]
    assert "connection refused" in caplog.text
    assert "goes on without the slot" not in caplog.text
    assert active_slots(f"kept-{role}") == 0


def test_after_the_longest_wait_a_run_goes_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panel_slot_module, "_LONGEST_WAIT_SECONDS", 0.5)
    with panel_slot("patient"), panel_slot("patient"):
        assert "goes on beside a run" in caplog.text
    assert active_slots("patient") == 0


def test_a_temporary_server_has_no_limit() -> None:
    with temporary_settings(restore_defaults={PREFECT_API_URL}), panel_slot("temporary"):
        pass
    with get_client(sync_client=True) as client:
        assert "nightcast-temporary" not in {
            found.name for found in client.read_global_concurrency_limits(200, 0)
        }
