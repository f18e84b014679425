"""One of bot-core's applications under a name, a port and paths of its own: `app.py NAME PORT HEALTH METRICS`."""

import datetime as dt
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

name, port, health, metrics = sys.argv[1:]
registry = CollectorRegistry()
requests = Counter("http_requests", "Requests", ["method", "endpoint", "status"], registry=registry)
if name == "engine":
    Gauge("trading_enabled", "Trading", registry=registry).set(1)
else:
    Gauge("ai_models_active", "Models", ["model", "version"], registry=registry).labels(
        "m", "1"
    ).set(1)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/ws":
            self.send_response(101)
            self.end_headers()
            return
        known = {health: b'{"status":"ok"}', metrics: generate_latest(registry)}
        body = known.get(path, b"")
        status = 200 if path in known else 404
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if path != metrics:
            requests.labels("GET", path, status).inc()
            line = {
                "timestamp": dt.datetime.now(dt.UTC).isoformat(),
                "level": "INFO",
                "message": f"GET {self.path} {status}",
                "target": "http",
                "span": "",
            }
            # In one piece: the requests are answered by threads.
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

    def log_message(self, *_: object) -> None:
        """Say nothing beside the JSON lines."""


ThreadingHTTPServer(("", int(port)), Handler).serve_forever()
