"""One JSON object per line on stdout, with the fields that each service's own logger writes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

Format = Callable[[logging.LogRecord, str], dict[str, object]]
"""Returns the fields of a record for a service; `timestamp` and `message` are added to them."""

LOGGER = logging.getLogger("botdemo")


def tracing(record: logging.LogRecord, service: str) -> dict[str, object]:
    """Return the fields of Rust's tracing: level, target (a module path) and span."""
    level = "WARN" if record.levelno == logging.WARNING else record.levelname
    module = record.name.replace("botdemo", service.replace("-", "_"), 1).replace(".", "::")
    return {
        "level": level,
        "target": module,
        "span": {"name": record.funcName.lstrip("_")},
    }


def python(record: logging.LogRecord, service: str) -> dict[str, object]:
    """Return the fields of a Python service's logger: level, service, function, file, line."""
    return {
        "level": record.levelname,
        "service": service,
        "function": record.funcName,
        "file": record.filename,
        "line": record.lineno,
    }


def node(record: logging.LogRecord, _service: str) -> dict[str, object]:
    """Return the fields of a Node.js service's logger: level."""
    level = "warn" if record.levelno == logging.WARNING else record.levelname.lower()
    return {"level": level}


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON; a traceback becomes part of the message."""

    def __init__(self, service: str, fields: Format) -> None:
        super().__init__()
        self._service = service
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        """Return the line: `timestamp` (RFC 3339, UTC, microseconds), the service's own fields, `message`."""
        created = datetime.fromtimestamp(record.created, UTC)
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        return json.dumps(
            {
                "timestamp": created.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                **self._fields(record, self._service),
                "message": message,
            }
        )


def configure(service: str, fields: Format, stream: TextIO) -> None:
    """Send every logger's lines to `stream`: the demo's from level INFO, those of its libraries from WARNING."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(service, fields))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    LOGGER.setLevel(logging.INFO)


def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log the exception that ends the process as one line (`sys.excepthook`)."""
    LOGGER.critical("the service failed", exc_info=(kind, error, trace))


def request_line(log: logging.Logger, method: str, path: str, status: int, seconds: float) -> None:
    """Log one request; `path` includes its query, so that the requests of a run can be found."""
    log.info("%s %s %d in %.1f ms", method, path, status, seconds * 1000, stacklevel=2)
