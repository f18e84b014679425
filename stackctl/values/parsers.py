"""Parsers of settings: each takes the text that a user wrote and returns it normalised, or raises ValueError.

The message of the ValueError says what is expected; the setting's name and origin are added where it is reported.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from stackctl.values.durations import parse_duration
from stackctl.values.sizes import parse_size


def text(value: str) -> str:
    """Accept any text without control characters."""
    if any(ord(character) < 32 for character in value):
        raise ValueError("it has a control character")
    return value


def port(value: str) -> str:
    """Accept a TCP port, without leading zeros."""
    # Not by `int` alone, which refuses thousands of digits with words of its own.
    if not re.fullmatch(r"0*[1-9][0-9]{0,4}", value) or int(value.lstrip("0")) > 65535:
        raise ValueError("a port is a whole number from 1 to 65535")
    return value.lstrip("0")


def address(value: str) -> str:
    """Accept an IPv4 or IPv6 address."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("an IP address is expected, such as 127.0.0.1") from None


def url(value: str) -> str:
    """Accept an http or https URL with a host."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("an http:// or https:// address is expected")
    return value


def index(value: str) -> str:
    """Accept the URL of a package index, without credentials."""
    if urlsplit(url(value)).username is not None:
        # It would stay in the image that is built with it.
        raise ValueError("an index without a user's name or password is expected")
    return value


def host(value: str) -> str:
    """Accept a host name or an IPv4 address."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", value):
        raise ValueError("a host name is expected")
    return value


def socket_path(value: str) -> str:
    """Accept the absolute path of a socket."""
    if not value.startswith("/") or "'" in value:
        raise ValueError("an absolute path without a quote is expected")
    return text(value)


def host_or_address(value: str) -> str:
    """Accept a host name, or an IPv4 or IPv6 address."""
    try:
        return address(value)
    except ValueError:
        return host(value)


def email(value: str) -> str:
    """Accept one e-mail address or several, separated by commas."""
    if not re.fullmatch(r"[^@\s,]+@[^@\s,]+(, ?[^@\s,]+@[^@\s,]+)*", value):
        raise ValueError("an e-mail address is expected")
    return value


def duration(value: str) -> str:
    """Accept a duration that Prometheus accepts."""
    parse_duration(value)
    return value


def size(value: str) -> str:
    """Accept a size that Prometheus accepts as a limit."""
    parse_size(value)
    return value


def flag(value: str) -> str:
    """Accept true or false, in the spellings that are usual."""
    known = {
        "true": "true",
        "1": "true",
        "yes": "true",
        "false": "false",
        "0": "false",
        "no": "false",
    }
    try:
        return known[value.lower()]
    except KeyError:
        raise ValueError("true or false is expected") from None


def image(value: str) -> str:
    """Accept an image reference."""
    if not re.fullmatch(r"[\w][\w./:@-]*", value):
        raise ValueError("an image reference such as prom/prometheus:v2.48.0 is expected")
    return value


def mirror(value: str) -> str:
    """Accept a registry, with a path where it has several."""
    host = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]+)?"
    folder = r"[a-z0-9]+([._-]+[a-z0-9]+)*"
    found = re.fullmatch(rf"(?P<host>{host})(/{folder})*", value)
    # Docker takes a first part without a dot, a port or this name for a user of Docker Hub.
    if found is None or not (re.search(r"[.:]", found["host"]) or found["host"] == "localhost"):
        raise ValueError(
            "a registry such as mirror.example:5000 or mirror.example/path is expected"
        )
    return value


def mongodb_uri(value: str) -> str:
    """Accept a MongoDB connection string."""
    if not value.startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("a mongodb:// address is expected")
    return text(value)


def path(value: str) -> str:
    """Accept the path of a URL."""
    if not re.fullmatch(r"/[!-~]*", value):
        raise ValueError("a path such as /api/health is expected")
    return value


def network(value: str) -> str:
    """Accept the name of a Docker network."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise ValueError(
            "the name of a Docker network is expected, as `docker network ls` gives it"
        )
    return value
