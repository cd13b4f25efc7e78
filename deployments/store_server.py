"""Store server: serves the objects of a store to a browser on this machine, to be read only."""

import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError

from forecasting.errors import first_line
from forecasting.publishing.address import INDEX
from forecasting.storage import Storage

# Only this machine reaches it: the store may hold what nobody else may read.
_HOST = "127.0.0.1"
_UNKNOWN_TYPE = "application/octet-stream"


@contextmanager
def store_server(storage: Storage) -> Iterator[tuple[ThreadingHTTPServer, str]]:
    """Bind a server to a free port on loopback. Yield it, not yet serving, and the address of the root."""
    with ThreadingHTTPServer((_HOST, 0), _handler(storage)) as server:
        server.daemon_threads = True
        yield server, f"http://{_HOST}:{server.server_port}/"


def _handler(storage: Storage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers GET and HEAD with objects of the store, and everything else with 501."""

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def _answer(self) -> None:
            status, content_type, body = _find(storage, self.path, self.headers.get("Host", ""))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-cache")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the terminal free of a line for each request."""

    return Handler


def _find(storage: Storage, address: str, host: str) -> tuple[HTTPStatus, str, bytes]:
    """The status, content type and body for an address."""
    # A web page elsewhere could reach this server under a name of its own, and read the store.
    if host.rpartition(":")[0] not in (_HOST, "localhost"):
        return _refuse(HTTPStatus.FORBIDDEN, "this address is not served")
    path = unquote(urlsplit(address).path).strip("/") or INDEX
    if any(part in ("", ".", "..") for part in path.split("/")):
        return _refuse(HTTPStatus.NOT_FOUND, "no such object")
    try:
        data = storage.find(path)
    except (BaseError, OSError, ValueError) as error:
        return _refuse(HTTPStatus.BAD_GATEWAY, f"the store does not answer: {first_line(error)}")
    if data is None:
        return _refuse(HTTPStatus.NOT_FOUND, "no such object")
    return HTTPStatus.OK, mimetypes.guess_type(path)[0] or _UNKNOWN_TYPE, data


def _refuse(status: HTTPStatus, why: str) -> tuple[HTTPStatus, str, bytes]:
    return status, "text/plain; charset=utf-8", f"{why}\n".encode()
