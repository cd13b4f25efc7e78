"""A proxy on loopback before an S3 server. It answers requests with an error, late, or not to the end."""

import re
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, cast

Way = Literal["whole", "503", "slow", "cut"]

_SLOW_SECONDS = 1.0
_SECONDS = 60
_UNAVAILABLE = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Proxy:
    """What the proxy does.

    Attributes:
        address: where it listens.
        way_of: how the request of a number, from 0 on, is answered.
        requests: how many there were since `way_of` was set by `answer`.
    """

    address: str
    way_of: Callable[[int], Way] = lambda _number: "whole"
    requests: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, way_of: Callable[[int], Way]) -> None:
        with self.lock:
            self.way_of, self.requests = way_of, 0

    def next_way(self) -> Way:
        with self.lock:
            self.requests += 1
            return self.way_of(self.requests - 1)


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[Proxy]:
    """Run one before `upstream`, which is `http://host:port`."""
    host, port = upstream.removeprefix("http://").split(":")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            request = _read_request(self.request)
            if request:
                _answer(self.request, request, (host, int(port)), proxy.next_way())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.request_queue_size = 128
        proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def proxy_process(upstream: str, way: Way, first: int) -> Iterator[str]:
    """Run one in a process of its own, which answers so from a request on; yield its address.

    For those who use `deltalake` in this process: it holds this process's lock while it waits for an answer.
    """
    command = [sys.executable, "-m", "tests.soak.faulty_proxy", upstream, way, str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def _read_request(client: socket.socket) -> bytes:
    """One request with its body; empty if the client sends none. The server is asked to close after it."""
    client.settimeout(_SECONDS)
    data = b""
    while b"\r\n\r\n" not in data:
        data += (more := client.recv(1 << 16))
        if not more:
            return b""
    head, _, body = data.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    while length and len(body) < int(length[1]):
        body += (more := client.recv(1 << 16))
        if not more:
            return b""
    return head + b"\r\nConnection: close\r\n\r\n" + body


def _answer(client: socket.socket, request: bytes, upstream: tuple[str, int], way: Way) -> None:
    if way == "503":
        client.sendall(_UNAVAILABLE)
        return
    if way == "slow":
        time.sleep(_SLOW_SECONDS)
    with socket.create_connection(upstream, timeout=_SECONDS) as server:
        server.sendall(request)
        answer = b""
        while more := server.recv(1 << 16):
            answer += more
    client.sendall(answer if way != "cut" else answer[: len(answer) // 2])


def main() -> None:
    """See `proxy_process`."""
    upstream, way, first = sys.argv[1:]
    with faulty_proxy(upstream) as proxy:
        proxy.answer(lambda number: cast("Way", way) if number >= int(first) else "whole")
        print(proxy.address, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
