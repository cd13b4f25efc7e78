"""Which Prefect server is used, where none has to be started."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import prefect
import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from deployments.local_server import prefect_server
from forecasting.errors import ServerError
from tests.hostile import write_hostile_modules
from tests.prefect_home import used_home
from tests.prefect_server import PrefectServer, free_port


@contextmanager
def something_that_answers(body: bytes) -> Iterator[int]:
    """A local HTTP server that answers everything with `body`; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            b"<html>hello</html>",
            "is used by a program that is not a Prefect server: stop it, or choose another",
        ),
        (b'"3.0.0"', f"has version 3.0.0, not {prefect.__version__}: stop it, or choose"),
    ],
)
def test_a_port_that_something_else_has_is_refused(body: bytes, reason: str) -> None:
    with (
        something_that_answers(body) as port,
        pytest.raises(ServerError, match=reason),
        prefect_server(port),
    ):
        pass


def test_a_server_of_the_same_version_that_is_there_is_used() -> None:
    with (
        something_that_answers(json.dumps(prefect.__version__).encode()) as port,
        prefect_server(port) as server,
    ):
        assert PREFECT_API_URL.value() == server.api == f"http://127.0.0.1:{port}/api"
        assert not server.is_ours  # it may be another machine's, behind a tunnel


def test_a_server_that_is_started_here_does_not_import_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_hostile_modules(tmp_path)
    monkeypatch.chdir(tmp_path)
    home = used_home(tmp_path / "prefect")
    with temporary_settings({PREFECT_HOME: home}), prefect_server(free_port()) as server:
        assert server.is_ours
        assert not server.has_ended


def test_a_configured_server_is_used(server: PrefectServer) -> None:
    with temporary_settings({PREFECT_API_URL: server.api}), prefect_server(1) as used:
        assert used.api == server.api
        assert not used.is_ours


def test_a_configured_server_that_does_not_answer_is_told() -> None:
    api = f"http://127.0.0.1:{free_port()}/api"
    with (
        temporary_settings({PREFECT_API_URL: api}),
        pytest.raises(ServerError, match=f"no Prefect server answers at {api}: start it, or unset"),
        prefect_server(1),
    ):
        pass
