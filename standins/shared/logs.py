"""Log lines in the format of the original program, on stdout or stderr as it does."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TextIO

Style = Callable[[logging.LogRecord, str, Mapping[str, object]], str]
"""Returns the line for a record, its message and its fields."""

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def fields(**values: object) -> dict[str, dict[str, object]]:
    """Return the `extra` of a logging call, for fields in addition to the message."""
    return {"fields": values}


def level(name: str) -> int | None:
    """Return logging's number for a level's name, or None if the name is not a level."""
    return _LEVELS.get(name.lower())


def configure(style: Style, stream: TextIO, threshold: int = logging.INFO) -> None:
    """Send every logger's lines to `stream` in this style; those of libraries from WARNING."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter(style))
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[handler], force=True)
    logging.getLogger("standins").setLevel(threshold)


def gokit(record: logging.LogRecord, message: str, values: Mapping[str, object]) -> str:
    """Format as Loki and Promtail do: level, ts, caller, msg."""
    head = {
        "level": _short(record),
        "ts": _timestamp(record, "microseconds"),
        "caller": f"{record.filename}:{record.lineno}",
        "msg": message,
    }
    return _logfmt({**head, **values})


def grafana(record: logging.LogRecord, message: str, values: Mapping[str, object]) -> str:
    """Format as Grafana does: logger, t, level, msg."""
    head = {
        "logger": record.name.rpartition(".")[2],
        "t": _timestamp(record, "microseconds"),
        "level": _short(record),
        "msg": message,
    }
    return _logfmt({**head, **values})


def logrus(record: logging.LogRecord, message: str, values: Mapping[str, object]) -> str:
    """Format as mongodb_exporter does: time, level, msg."""
    head = {
        "time": _timestamp(record, "seconds"),
        "level": record.levelname.lower(),
        "msg": message,
    }
    return _logfmt({**head, **values})


def klog(record: logging.LogRecord, message: str, values: Mapping[str, object]) -> str:
    """Format as cAdvisor does: level letter, date, time, process, place, message."""
    when = datetime.fromtimestamp(record.created, UTC)
    place = f"{record.filename}:{record.lineno}"
    text = f"{message} {_logfmt(values)}".rstrip()
    return f"{record.levelname[0]}{when:%m%d %H:%M:%S.%f} {os.getpid():7d} {place}] {text}"


def mongod(record: logging.LogRecord, message: str, values: Mapping[str, object]) -> str:
    """Format as mongod does: a JSON object with t, s, c, ctx, msg, attr."""
    line: dict[str, object] = {
        "t": {"$date": _timestamp(record, "milliseconds")},
        "s": record.levelname[0],
        "c": record.name.rpartition(".")[2].upper(),
        "ctx": record.threadName,
        "msg": message,
    }
    if values:
        line["attr"] = dict(values)
    return json.dumps(line, default=str)


class _Formatter(logging.Formatter):
    def __init__(self, style: Style) -> None:
        super().__init__()
        self._line = style

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        return self._line(record, message, getattr(record, "fields", {}))


def _short(record: logging.LogRecord) -> str:
    return "warn" if record.levelno == logging.WARNING else record.levelname.lower()


def _timestamp(record: logging.LogRecord, precision: str) -> str:
    when = datetime.fromtimestamp(record.created, UTC)
    return when.isoformat(timespec=precision).replace("+00:00", "Z")


def _logfmt(values: Mapping[str, object]) -> str:
    return " ".join(f"{key}={_quoted(str(value))}" for key, value in values.items())


def _quoted(text: str) -> str:
    plain = text.isprintable() and not any(character in text for character in ' "=\\')
    return text if plain and text else json.dumps(text, ensure_ascii=False)
