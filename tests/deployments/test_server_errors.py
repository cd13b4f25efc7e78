"""A Prefect server that is not there, or goes away: one line, with what to do."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prefect.exceptions import PrefectHTTPStatusError
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments import cli
from deployments.server_errors import clear_server_errors
from deployments.unsent_logs import unsent_logs_as_warning
from forecasting.errors import ServerError

NIGHTCAST = Path(sys.executable).parent / "nightcast"
DEAD = "http://127.0.0.1:9/api"  # the port "discard", on which nothing listens


@pytest.mark.parametrize(
    "words",
    [["run"], ["backfill", "--start", "2026-10-01", "--end", "2026-10-02"]],
    ids=["run", "backfill"],
)
def test_a_configured_server_that_does_not_answer_is_one_line(
    tiny_panel: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    store = tiny_panel.parent / "store"
    command, *options = words
    with temporary_settings({PREFECT_API_URL: DEAD}), pytest.raises(SystemExit) as end:
        cli.main([command, str(tiny_panel), *options, "--store", str(store)])
    assert end.value.code == 1
    assert capsys.readouterr().err == (
        f"nightcast: no Prefect server answers at {DEAD}: start it, or unset PREFECT_API_URL to have one "
        "started here\n"
    )
    assert not (store / "prices").exists()


@pytest.mark.parametrize("words", [["serve"], ["deploy"]], ids=["serve", "deploy"])
def test_panels_are_not_served_or_deployed_without_the_configured_server(
    tiny_panel: Path, words: list[str]
) -> None:
    folder = tiny_panel.parent
    ended = subprocess.run(
        [NIGHTCAST, *words, "--panels", str(folder), "--store", str(folder / "store")],
        env={**os.environ, "PREFECT_API_URL": DEAD, "PREFECT_HOME": str(folder / "prefect")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("nightcast: ")
    assert DEAD in line
    assert "PREFECT_API_URL" in line


def status_error(code: int) -> PrefectHTTPStatusError:
    request = httpx.Request("GET", DEAD)
    response = httpx.Response(code, request=request, json={"detail": "because"})
    return PrefectHTTPStatusError.from_httpx_error(
        httpx.HTTPStatusError("refused\nmore", request=request, response=response)
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (httpx.ConnectError("no route\nto it"), f"{DEAD} does not answer (no route); check that it runs"),
        (httpx.ReadTimeout(""), f"{DEAD} does not answer (ReadTimeout); check that it runs"),
        (status_error(401), f"{DEAD} refuses access; set PREFECT_API_AUTH_STRING"),
        (status_error(503), f"{DEAD} refused: "),
    ],
)
def test_an_error_of_the_server_is_one_line_with_its_address(error: Exception, reason: str) -> None:
    with pytest.raises(ServerError) as caught, clear_server_errors(DEAD):
        raise error
    assert reason in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), clear_server_errors(DEAD):
        raise ZeroDivisionError


class _Away:
    async def create_logs(self, items: list[dict[str, str]]) -> None:
        raise httpx.ConnectError(f"no connection for {len(items)}")


def test_log_lines_that_cannot_be_sent_are_one_warning_and_nothing_else_is_printed(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    worker = APILogWorker("settings")
    worker._client = _Away()  # noqa: SLF001 - there is no other way to a batch
    with unsent_logs_as_warning():
        for _ in range(2):
            asyncio.run(worker._handle_batch([{}]))  # noqa: SLF001
    assert [one.getMessage() for one in caplog.records] == [
        "prefect: the server does not take log lines (no connection for 1)"
    ]
    assert capsys.readouterr().err == ""
