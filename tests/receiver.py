"""A receiver of notifications: a real HTTP server on loopback that keeps what it is sent."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_SECRET = "/services/T00/B00/secret"  # noqa: S105 - of this test only


class Receiver:
    """What came in, each as JSON; `answers` are the statuses it gives, then 200 for ever."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}{_SECRET}"
        self.messages: list[dict[str, Any]] = []
        self.answers: list[int] = []

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], seconds: float = 60) -> dict[str, Any]:
        """The first message that is wanted."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for message in list(self.messages):
                if wanted(message):
                    return message
            time.sleep(0.1)
        raise TimeoutError(f"no such message after {seconds} s; there are: {self.messages}")


@contextmanager
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = found.answers.pop(0) if found.answers else 200
            if status < 300:
                found.messages.append(json.loads(body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Receiver(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
