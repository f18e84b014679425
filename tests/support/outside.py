"""The internet behind a company's proxy, run in a container whose network the programs under test share.

The proxy on port 3128 intercepts TLS, as companies' do, and answers for every host but those of the stack, which it
refuses. A server of the company's own network on port 8026 is reached without it. Each request is a line of JSON on
stdout: its `way`, `host` and `path`.

Usage: python3 outside.py FOLDER, which has cert.pem and key.pem.
"""

from __future__ import annotations

import json
import re
import socket
import socketserver
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROXY, INTRANET = 3128, 8026


def _note(way: str, host: str, path: str) -> None:
    # At once, as several threads write.
    sys.stdout.write(json.dumps({"way": way, "host": host, "path": path}) + "\n")
    sys.stdout.flush()


class _Answering(BaseHTTPRequestHandler):
    """Notes each request, and answers it well."""

    way = "direct"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.do_GET()

    def do_GET(self) -> None:
        _note(self.way, self.headers["Host"], self.path)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: the output is what was seen."""


class _Intercepted(_Answering):
    way = "proxy"


class _Proxy(socketserver.StreamRequestHandler):
    """Plays every host of the outside that it is asked to connect to."""

    tls: ssl.SSLContext

    def handle(self) -> None:
        request = self.rfile.readline().decode()
        while self.rfile.readline().strip():
            pass
        found = re.match(r"CONNECT ([^:]+):443 ", request)
        if found is None or "." not in found[1]:
            _note("refused", request.strip(), "")
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            with self.tls.wrap_socket(self.connection, server_side=True) as inner:
                _Intercepted(inner, self.client_address, self.server)
        except OSError:
            # The authority is not trusted.
            _note("broken", found[1], "/")


class _ProxyServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    address_family = socket.AF_INET


def main(folder: Path) -> None:
    """Serve until the container is stopped."""
    _Proxy.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _Proxy.tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    servers = [
        _ProxyServer(("0.0.0.0", PROXY), _Proxy),
        ThreadingHTTPServer(("0.0.0.0", INTRANET), _Answering),
    ]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
