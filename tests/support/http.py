"""A real HTTP server on a port of its own, with answers that a test sets."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Reply:
    """An answer: a status and a body; `endless` repeats the body until the client leaves, `delay` is in seconds."""

    body: bytes = b""
    status: int = 200
    delay: float = 0.0
    endless: bool = False
    content_type: str = "application/json"
    date: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(value: object, status: int = 200) -> Reply:
    """An answer with this JSON value."""
    return Reply(json.dumps(value).encode(), status)


@dataclass(frozen=True)
class Request:
    """What the server was asked."""

    method: str
    path: str
    query: str
    body: bytes
    headers: dict[str, str]


Answer = Reply | Callable[[Request], Reply]


@dataclass
class Server:
    """A running server: its address, its answers by path, the requests it got."""

    url: str
    routes: dict[str, Answer]
    requests: list[Request] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    sent: int = 0
    """Bytes of endless bodies that clients, or the buffers on the way to them, have taken."""


@contextlib.contextmanager
def serving(routes: dict[str, Answer]) -> Iterator[Server]:
    """Run a server with these answers while the body runs; a path without one is 404."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Or the body, which is written after the headers, waits 40 ms for their acknowledgement.
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            request = Request(
                self.command,
                parts.path,
                parts.query,
                self.rfile.read(length),
                dict(self.headers.items()),
            )
            server.requests.append(request)
            answer = server.routes.get(parts.path, Reply(b'{"message": "not found"}', 404))
            reply = answer if isinstance(answer, Reply) else answer(request)
            server.stopping.wait(reply.delay)
            if reply.date is None:
                self.send_response(reply.status)
            else:
                self.send_response_only(reply.status)
                self.send_header("Date", reply.date)
            self.send_header("Content-Type", reply.content_type)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.endless:
                self.send_header("Connection", "close")
                self.end_headers()
                with contextlib.suppress(OSError):
                    while not server.stopping.is_set():
                        server.sent += self.wfile.write(reply.body)
                self.close_connection = True
                return
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(OSError):
                    self.wfile.write(reply.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the base class's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Keep the tests' output clean."""

    class Httpd(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: object, client_address: object) -> None:
            # A client that leaves is no news, and a command that runs in this process has the same stderr.
            if not isinstance(sys.exception(), ConnectionError):
                super().handle_error(request, client_address)  # type: ignore[arg-type]

    httpd = Httpd(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{httpd.server_address[1]}", routes)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.002})
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Poll a condition, and return whether it held within the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return condition()
