"""The server that shows a store to a browser on this machine."""

import threading
from collections.abc import Iterator

import httpx
import pytest

from deployments.store_server import store_server
from forecasting.storage import Storage


@pytest.fixture
def root(storage: Storage) -> Iterator[str]:
    """The address of a store with a page and a table in it."""
    storage.put("index.html", b"<html>all")
    storage.put("latest/tiny.parquet", b"PAR1")
    with store_server(storage) as (server, address):
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield address
        server.shutdown()
        thread.join()


def test_objects_come_with_their_type_and_without_being_kept(root: str) -> None:
    page, table = httpx.get(f"{root}index.html"), httpx.get(f"{root}latest/tiny.parquet")
    assert (page.text, page.headers["Content-Type"]) == ("<html>all", "text/html")
    assert (table.content, table.headers["Content-Type"]) == (b"PAR1", "application/octet-stream")
    assert page.headers["Cache-Control"] == "no-cache"
    assert httpx.get(root).text == "<html>all"


def test_head_has_no_body(root: str) -> None:
    answer = httpx.head(f"{root}index.html")
    assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (200, b"", "9")


@pytest.mark.parametrize("path", ["nope.html", "latest", "%2e%2e/secret", "latest/..%2f..%2fsecret", "a//b"])
def test_what_is_no_object_is_404(root: str, path: str) -> None:
    assert httpx.get(f"{root}{path}").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_written(root: str, method: str) -> None:
    assert httpx.request(method, f"{root}index.html").status_code == 501


def test_a_page_elsewhere_cannot_reach_it_under_a_name_of_its_own(root: str) -> None:
    assert httpx.get(f"{root}index.html", headers={"Host": "evil.example.com:80"}).status_code == 403


def test_it_listens_on_this_machine_only(root: str) -> None:
    assert root.startswith("http://127.0.0.1:")
