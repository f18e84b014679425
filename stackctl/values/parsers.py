"""Parsers of settings: each takes the text that a user wrote and returns it normalised, or raises ValueError.

The message of the ValueError says what is expected; the setting's name and origin are added where it is reported.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from stackctl.values.durations import parse_duration
from stackctl.values.sizes import parse_size

_GRAFANA_MINIMUM = 5

SMTP_TLS = ("auto", "starttls", "implicit", "none")
"""How mail is encrypted on its way to the server. `auto` is `implicit` on port 465, `starttls` on any other."""

_ESCAPE = "%[0-9A-Fa-f]{2}"
_URL = re.compile(
    rf"""
    https?://
    ((?:[A-Za-z0-9._:~!$&'()*+,;=@-]|{_ESCAPE})*@)?
    (?: \[(?P<ip>[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)\] | [A-Za-z0-9._~!$&'()*+,;=\x80-\U0010ffff-]+ )
    (?: :(?P<port>[0-9]{{0,5}}) )?
    (?: / (?: [^\x00-\x1f\x7f%?\#] | {_ESCAPE} )* )?
    (?: \? [^\x00-\x1f\x7f\#]* )?
    (?: \# (?: [^\x00-\x1f\x7f%] | {_ESCAPE} )* )?
    """,
    re.VERBOSE | re.IGNORECASE,
)

# Mail addresses as Go's net/mail reads them, which is what Alertmanager does: RFC 5322 with any other script's letters.
# Left out are groups and domains in brackets, which not every release of it takes.
_ATOM = r"""[^\x00-\x20\x7f()<>\[\]:;@\\,".]++"""
_QUOTED = r'"(?:[^\x00-\x1f\x7f"\\]|\\[^\x00-\x1f\x7f])*"'
_SPEC = rf'(?:{_ATOM}(?:\.{_ATOM})*|(?!""){_QUOTED})@ *{_ATOM}(?:\.{_ATOM})*'
_PHRASE = rf"(?:(?:{_ATOM}|\.|{_QUOTED}) *+)++"
_COMMENT = r"(?: *\([^\x00-\x1f\x7f()\\]*\))?"
_MAILBOX = rf"(?:{_SPEC}|(?:{_PHRASE})?< *{_SPEC}>){_COMMENT}"

# https://www.mongodb.com/docs/manual/reference/connection-string, as the Go driver reads it (its package connstring).
_WORD = rf"(?:[^/:@%]|{_ESCAPE})*"
_MONGODB_URI = re.compile(
    rf"mongodb://(?P<user>{_WORD}(?::{_WORD})?@)?(?P<hosts>[^/?@]+)(?(user)(?:/.*)?|(?:/[^@]*)?)",
    re.DOTALL,
)
_MONGODB_HOST = re.compile(rf"(?:(?:[^:%\[\]]|{_ESCAPE})+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")

# https://pkg.go.dev/github.com/distribution/reference
_COMPONENT = "[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*"
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = rf"(?:{_LABEL}(?:[.]{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
_DIGEST = "(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})"
_IMAGE = rf"(?:{_REGISTRY}/)?{_COMPONENT}(?:/{_COMPONENT})*(?::\w[\w.-]{{0,127}})?(?:@{_DIGEST})?"


def text(value: str) -> str:
    """Accept any text without control characters."""
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError("it has a control character")
    return value


def grafana_password(value: str) -> str:
    """Accept a password that Grafana sets: its `reset-admin-password` calls four bytes and fewer weak."""
    if len(value.encode()) < _GRAFANA_MINIMUM:
        raise ValueError(f"Grafana takes a password of at least {_GRAFANA_MINIMUM} characters")
    return text(value)


def port(value: str) -> str:
    """Accept a TCP port, without leading zeros."""
    # Not by `int` alone, which refuses thousands of digits with words of its own.
    if not re.fullmatch(r"0*[1-9][0-9]{0,4}", value) or int(value.lstrip("0")) > 65535:
        raise ValueError("a port is a whole number from 1 to 65535")
    return value.lstrip("0")


def address(value: str) -> str:
    """Accept an IPv4 or IPv6 address, the latter with or without brackets, and return it without."""
    bare = value[1:-1] if re.fullmatch(r"\[.*:.*\]", value) else value
    try:
        # Docker takes no zone, such as the %eth0 of a link-local address.
        return str(ipaddress.ip_address("" if "%" in bare else bare))
    except ValueError:
        raise ValueError("an IP address is expected, such as 127.0.0.1 or ::1") from None


def url(value: str) -> str:
    """Accept an http or https URL with a host, as the programs read it.

    These are written in Go, whose net/url is stricter than Python's urllib: about the characters of a host, a port that
    is no number, a broken escape in a path, blanks around it.
    """
    found = _URL.fullmatch(value)
    if found is None or int(found["port"] or 0) > 65535:
        raise ValueError("an http:// or https:// address is expected")
    if found["ip"]:
        address(found["ip"])
    return value


def index(value: str) -> str:
    """Accept the URL of a package index, without credentials."""
    if urlsplit(url(value)).username is not None:
        # It would stay in the image that is built with it.
        raise ValueError("an index without a user's name or password is expected")
    return value


def host(value: str) -> str:
    """Accept a host name, or an IPv4 address."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", value):
        raise ValueError("a host name is expected")
    return value


def socket_path(value: str) -> str:
    """Accept the absolute path of a socket."""
    # Compose has it before a colon, and in quotes.
    if not value.startswith("/") or not {"'", ":"}.isdisjoint(value):
        raise ValueError("an absolute path without a quote and a colon is expected")
    return text(value)


def host_or_address(value: str) -> str:
    """Accept a host name, or an IPv4 or IPv6 address."""
    try:
        return address(value)
    except ValueError:
        return host(value)


def sender(value: str) -> str:
    """Accept one e-mail address, by itself or after a name: alerts@example.org, Alerts <alerts@example.org>."""
    if not re.fullmatch(rf"[ ,]*{_MAILBOX}[ ,]*", value):
        raise ValueError("one e-mail address is expected, such as alerts@example.org")
    return _no_template(value)


def recipients(value: str) -> str:
    """Accept one e-mail address or several, separated by commas, each by itself or after a name."""
    if not re.fullmatch(rf"[ ,]*{_MAILBOX}(?: *,[ ,]*{_MAILBOX})*[ ,]*", value):
        raise ValueError("e-mail addresses are expected, separated by commas")
    return _no_template(value)


def smtp_tls(value: str) -> str:
    """Accept a way in which mail is encrypted on its way to the server."""
    return one_of(SMTP_TLS, value)


def one_of(choices: Sequence[str], value: str) -> str:
    """Accept one of these words, in capitals too."""
    if value.lower() not in choices:
        raise ValueError(f"one of {', '.join(choices)} is expected")
    return value.lower()


def _no_template(value: str) -> str:
    # Alertmanager would look for a template in it.
    if "{{" in value:
        raise ValueError("it has {{, with which a template begins")
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
    """Accept an image reference, by the grammar that Docker has for it."""
    name = value.partition("@")[0]
    if not re.fullmatch(_IMAGE, value, re.ASCII) or re.fullmatch("[0-9a-f]{64}", name):
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
    """Accept the connection string of one MongoDB server, as the driver of its exporter reads it.

    The exporter connects directly, to tell each member of a replica set from the others; the driver then refuses
    several hosts and mongodb+srv://.
    """
    if value.startswith("mongodb+srv://"):
        raise ValueError(
            "mongodb:// with one server is expected, as the exporter connects to one directly;"
            " mongodb+srv:// names a whole cluster"
        )
    found = _MONGODB_URI.fullmatch(value)
    if found is None:
        raise ValueError(
            "mongodb://USER:PASSWORD@HOST:PORT/ is expected, with / : @ and % in the user and the password"
            " written as %2F, %3A, %40 and %25"
        )
    hosts = [host for host in found["hosts"].split(",") if host]
    if len(hosts) != 1:
        raise ValueError(
            "one server is expected, as the exporter connects to one directly: take a member"
        )
    if not _MONGODB_HOST.fullmatch(hosts[0]):
        raise ValueError("a host, with a port from 1 to 65535 or none, is expected after the @")
    if ":" in hosts[0].rpartition("]")[2]:
        port(hosts[0].rpartition(":")[2])
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
