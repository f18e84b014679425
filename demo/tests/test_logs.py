"""Each service logs one JSON object a line, with its own fields and levels."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from botdemo import logs
from botdemo.roles import ROLES

FIELDS = {
    "rust-core-engine": {"timestamp", "level", "message", "target", "span"},
    "python-ai-service": {
        *("timestamp", "level", "service", "message", "function", "file", "line")
    },
    "nextjs-ui-dashboard": {"timestamp", "level", "message"},
    "kong": {"timestamp", "level", "message"},
}

LEVELS = {
    "rust-core-engine": ["INFO", "WARN", "ERROR"],
    "python-ai-service": ["INFO", "WARNING", "ERROR"],
    "nextjs-ui-dashboard": ["info", "warn", "error"],
}


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A stream that a service's logging is configured to; what was configured before comes back."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("name", FIELDS)
def test_fields_and_timestamp(stream: io.StringIO, name: str) -> None:
    logs.configure(name, ROLES[name].log_format, stream)
    logging.getLogger("botdemo.trading").info("filled %d", 7)

    (entry,) = lines(stream)
    assert set(entry) == FIELDS[name]
    assert entry["message"] == "filled 7"
    timestamp = str(entry["timestamp"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", timestamp)
    assert datetime.fromisoformat(timestamp).utcoffset() == timedelta(0)


@pytest.mark.parametrize("name", LEVELS)
def test_level_names(stream: io.StringIO, name: str) -> None:
    logs.configure(name, ROLES[name].log_format, stream)
    log = logging.getLogger("botdemo.http")
    for level in (logging.INFO, logging.WARNING, logging.ERROR):
        log.log(level, "x")
    assert [entry["level"] for entry in lines(stream)] == LEVELS[name]


def test_where_a_line_comes_from(stream: io.StringIO) -> None:
    logs.configure("rust-core-engine", logs.tracing, stream)
    logging.getLogger("botdemo.trading").info("x")
    logs.configure("python-ai-service", logs.python, stream)
    logging.getLogger("botdemo.analysis").info("x")

    rust, python = lines(stream)
    assert rust["target"] == "rust_core_engine::trading"
    assert rust["span"] == {"name": "test_where_a_line_comes_from"}
    assert python["service"] == "python-ai-service"
    assert python["function"] == "test_where_a_line_comes_from"
    assert python["file"] == "test_logs.py"
    assert isinstance(python["line"], int)


def test_a_traceback_stays_in_one_line(stream: io.StringIO) -> None:
    logs.configure("rust-core-engine", logs.tracing, stream)
    try:
        raise RuntimeError("broken\nin two")
    except RuntimeError:
        logging.getLogger("botdemo.http").exception("failed")
    (entry,) = lines(stream)
    assert str(entry["message"]).startswith("failed\nTraceback")
    assert "RuntimeError: broken" in str(entry["message"])


def test_libraries_are_heard_from_warning_up(stream: io.StringIO) -> None:
    logs.configure("rust-core-engine", logs.tracing, stream)
    logging.getLogger("asyncio.events").info("not this")
    logging.getLogger("asyncio.events").warning("this")
    (entry,) = lines(stream)
    assert (entry["message"], entry["target"]) == ("this", "asyncio::events")


def test_what_ends_the_process_is_logged_in_one_line_too(stream: io.StringIO) -> None:
    logs.configure("rust-core-engine", logs.tracing, stream)
    error = OSError("address in use")
    logs.uncaught(OSError, error, error.__traceback__)
    (entry,) = lines(stream)
    assert entry["level"] == "CRITICAL"
    assert entry["message"] == "the service failed\nOSError: address in use"
