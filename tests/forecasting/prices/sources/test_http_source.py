"""Against a real server on loopback that misbehaves on purpose."""

import gzip
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import stamina

from forecasting.errors import SourceError
from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.prices.sources import open_source
from forecasting.prices.sources.memory import recall
from forecasting.storage import Storage

CSV = b"unique_id,ds,close\nA,2020-01-02,1.5\nB,2020-01-02,2.5\n"
HTML = b"<!DOCTYPE html><html><body>Please log in</body></html>"

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """Sends its `answers` in turn, then repeats the last one; records the headers of the requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Answer] = []
        self.requests: list[Any] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Suppress errors: clients hang up on a misbehaving server."""

    def url(self, path: str = "prices.csv") -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        number = len(self.server.requests)
        self.server.requests.append(self.headers)
        self.server.answers[min(number, len(self.server.answers) - 1)](self)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_waiting_between_tries() -> Iterator[None]:
    with stamina.set_testing(testing=True, attempts=3):
        yield


def answer(data: bytes = CSV, status: int = 200, length: int | None = None, **headers: str) -> Answer:
    def give(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(data) if length is None else length))
        handler.end_headers()
        handler.wfile.write(data)

    return give


def unsized(data: bytes = CSV, **headers: str) -> Answer:
    """Ends with the connection."""

    def give(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return give


def drop(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


def never_end(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(CSV)
        time.sleep(0.05)


def sleep(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(0.5)
    answer()(handler)


CUT = answer(CSV[:20], length=len(CSV))


@pytest.fixture
def read(server: Server, make_panel: Callable[..., Panel]) -> Callable[..., list[str]]:
    """The ids that the server's file offers."""

    def ids(*answers: Answer, path: str = "prices.csv", **source: Any) -> list[str]:
        server.answers = list(answers)
        panel = make_panel({"uri": server.url(path), **source})
        found: list[str] = pa.concat_tables(open_source(panel).read())["unique_id"].to_pylist()
        return found

    return ids


Read = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("answers", "requests"),
    [
        ([answer()], 1),
        ([drop, answer()], 2),
        ([answer(b"", 500), answer(b"", 503), answer()], 3),
        ([answer(b"", 429, Retry_After="9"), answer()], 2),
        ([CUT, answer()], 2),
        ([answer(b"", 302, Location="/elsewhere"), answer()], 2),
        ([answer(gzip.compress(CSV), Content_Encoding="gzip")], 1),
        ([answer(gzip.compress(CSV)[:-20], Content_Encoding="gzip"), answer()], 2),
        ([answer(gzip.compress(CSV))], 1),
        ([answer(CSV.rstrip())], 1),
        ([unsized()], 1),
        ([unsized(CSV.decode().encode("utf-16"))], 1),
        ([unsized(gzip.compress(CSV.rstrip()), Content_Encoding="gzip")], 1),
        ([unsized(CSV[:-2]), answer()], 2),
        ([answer(CSV, Content_Type="text/html")], 1),
    ],
    ids=[
        "well-behaved",
        "drops once",
        "500, 503",
        "429",
        "cut short once",
        "redirect",
        "compressed on the way",
        "compressed and cut short once",
        "gzip without the name",
        "no last newline, but a length",
        "no length, but a last newline",
        "no length, but a last newline in UTF-16",
        "no length, but the end of a gzip",
        "neither length nor end once",
        "CSV under the wrong type",
    ],
)
def test_a_file_arrives_in_the_end(read: Read, server: Server, answers: list[Answer], requests: int) -> None:
    assert read(*answers) == ["A", "B"]
    assert len(server.requests) == requests


@pytest.mark.parametrize(
    ("give", "message", "requests"),
    [
        (drop, "cannot fetch", 3),
        (CUT, r"cannot fetch .*without sending complete message body \(received 20 bytes, expected 53\)", 3),
        (answer(b"", 500), "answers 500 Internal Server Error; check .source..uri", 3),
        (answer(b"", 404), "answers 404 Not Found; check .source..uri", 1),
        (answer(b"", 403), "answers 403 Forbidden", 1),
        (answer(HTML), "is a web page, not CSV or Parquet; open it in a browser", 1),
        (answer(b'{"error": "limit reached"}'), "is JSON, not CSV or Parquet", 1),
        (answer(gzip.compress(HTML)), "is a web page", 1),
        (answer(b"Rate limit reached"), "has no rows, only the line 'Rate limit reached'", 1),
        (answer(b""), "is empty; check .source..uri", 1),
        (answer(b"", 302, Location="/"), "Exceeded maximum allowed redirects", 21),
        (answer(b"", 302, Location="ftp://127.0.0.1/"), "unsupported protocol", 1),
        (answer(CSV[:30], Content_Encoding="gzip"), "cannot fetch .*Not a gzipped file", 1),
        (answer(gzip.compress(CSV)[:-20], Content_Encoding="gzip"), "cannot fetch .*end-of-stream marker", 3),
        (answer(CSV, Content_Encoding="br"), "answers in the encoding br; let the server send gzip", 1),
        (unsized(CSV[:-2]), "ends within a line, and no Content-Length", 3),
        (answer(gzip.compress(CSV)[:30]), "is damaged or cut short", 1),
        (answer(b"PK\x03\x04"), "is not a zip, or is cut short", 1),
        (answer(b"PAR1"), "is not Parquet, or is damaged or cut short", 1),
    ],
)
def test_one_line_says_what_is_wrong_with_an_answer(
    read: Read, server: Server, give: Answer, message: str, requests: int
) -> None:
    with pytest.raises(SourceError, match=message) as raised:
        read(give)
    assert "\n" not in str(raised.value)
    assert server.url() in str(raised.value)
    assert len(server.requests) == requests


def test_a_server_that_is_not_there(read: Read, server: Server) -> None:
    server.server_close()
    with pytest.raises(SourceError, match=r"cannot fetch .*refused.*; check .source..uri"):
        read(answer())


@pytest.mark.parametrize(
    ("give", "message"), [(sleep, "timed out"), (never_end, r"longer than 0\.003 minutes")]
)
def test_a_slow_server_has_a_limit(read: Read, give: Answer, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(give, time_limit_minutes=0.003)


@pytest.mark.parametrize("give", [answer(), answer(CSV[:5], length=10_000_000_000), never_end])
def test_a_file_has_a_limit(read: Read, give: Answer) -> None:
    with pytest.raises(SourceError, match=r"more than 4e-05 MB; raise .source..max_megabytes"):
        read(give, max_megabytes=0.00004)


def test_the_name_in_the_address_is_the_id_of_a_series_alone(read: Read) -> None:
    give = answer(b"ds,close\n2020-01-02,1.5\n")
    assert read(give, path="prices/AAPL.csv?key=1", id_column="") == ["AAPL"]


@pytest.mark.parametrize(
    ("tag", "condition"),
    [
        ({"ETag": '"1"'}, ("If-None-Match", '"1"')),
        (
            {"Last_Modified": "Fri, 30 Oct 2026 16:00:00 GMT"},
            ("If-Modified-Since", "Fri, 30 Oct 2026 16:00:00 GMT"),
        ),
    ],
)
@pytest.mark.parametrize("status", [200, 304])
def test_an_unchanged_file_is_not_read_again(
    server: Server,
    make_panel: Callable[..., Panel],
    tag: dict[str, str],
    condition: tuple[str, str],
    status: int,
) -> None:
    server.answers = [answer(**tag), answer(b"" if status == 304 else CSV, status, **tag), answer(ETag='"2"')]
    panel = make_panel({"uri": server.url()})
    first = open_source(panel)
    assert sum(batch.num_rows for batch in first.read()) == 2
    second = open_source(panel, first.tags)
    assert list(second.read()) == []
    assert server.requests[1][condition[0]] == condition[1]
    assert second.tags == first.tags
    third = open_source(panel, second.tags)
    assert sum(batch.num_rows for batch in third.read()) == 2
    assert third.tags == {"etag": '"2"'}


def test_a_file_without_tags_is_read_each_time(server: Server, make_panel: Callable[..., Panel]) -> None:
    server.answers = [answer()]
    source = open_source(make_panel({"uri": server.url()}))
    assert sum(batch.num_rows for batch in source.read()) == 2
    assert source.tags == {}


def test_user_password_and_key_reach_the_server_and_nobody_else(
    server: Server,
    make_panel: Callable[..., Panel],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("PRICES_PASSWORD", "secret")
    uri = server.url("prices.csv?key=secret").replace("//", "//joe:${PRICES_PASSWORD}@")
    server.answers = [answer(b"", 500)]
    with pytest.raises(SourceError, match="answers 500") as raised:
        list(open_source(make_panel({"uri": uri})).read())
    assert server.requests[0]["Authorization"] == "Basic am9lOnNlY3JldA=="
    assert "answers 500 Internal Server Error" in caplog.text
    assert "secret" not in str(raised.value) + caplog.text


def test_an_ingest_reads_an_unchanged_file_once(
    server: Server, make_panel: Callable[..., Panel], storage: Storage
) -> None:
    server.answers = [answer(ETag='"1"'), answer(b"", 304), answer(CSV.replace(b"2.5", b"2.6"), ETag='"2"')]
    panel = make_panel({"uri": server.url()})
    now = np.datetime64("2020-01-10", "us")
    reports = [ingest(panel, storage, now) for _ in range(3)]
    assert [(report.offered, report.appended) for report in reports] == [(2, 2), (0, 0), (2, 1)]
    assert "If-None-Match" not in server.requests[0]


def test_a_changed_panel_reads_all_again(
    server: Server, make_panel: Callable[..., Panel], storage: Storage
) -> None:
    server.answers = [answer(ETag='"1"')]
    now = np.datetime64("2020-01-10", "us")
    for prefix in ("", "X:"):
        assert ingest(make_panel({"uri": server.url(), "prefix": prefix}), storage, now).appended == 2


def test_a_failed_ingest_is_not_remembered(
    server: Server, make_panel: Callable[..., Panel], storage: Storage
) -> None:
    server.answers = [answer(b"nothing,of,that\n1,2,3\n", ETag='"1"')]
    panel = make_panel({"uri": server.url()})
    with pytest.raises(SourceError, match="no column 'ds'"):
        ingest(panel, storage, np.datetime64("2020-01-10", "us"))
    assert recall(storage, panel) is None
