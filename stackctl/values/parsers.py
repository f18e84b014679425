"""Parsers of settings: each validates the user's text and returns it normalised, or raises ValueError.

The ValueError's message says what is expected; the setting's name and origin are added when it is reported.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from stackctl.values.durations import parse_duration
from stackctl.values.sizes import parse_size

_GRAFANA_MINIMUM = 5

SMTP_TLS = ("auto", "starttls", "implicit", "none")
"""How the connection to the mail server is encrypted. `auto` is `implicit` on port 465, else `starttls`."""

_ESCAPE = "%[0-9A-Fa-f]{2}"
# Patterns are compiled when a setting needs them: few are set, and a command that starts reads them all.
_URL = rf"""(?xi)
    https?://
    ((?:[A-Za-z0-9._:~!$&'()*+,;=@-]|{_ESCAPE})*@)?
    (?: \[(?P<ip>[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)\] | [A-Za-z0-9._~!$&'()*+,;=\x80-\U0010ffff-]+ )
    (?: :(?P<port>[0-9]{{0,5}}) )?
    (?: / (?: [^\x00-\x1f\x7f%?\#] | {_ESCAPE} )* )?
    (?: \? [^\x00-\x1f\x7f\#]* )?
    (?: \# (?: [^\x00-\x1f\x7f%] | {_ESCAPE} )* )?
    """

# E-mail addresses as Go's net/mail, and thus Alertmanager, parses them: RFC 5322 with letters of all scripts. Groups
# and domains in brackets are left out, because not every release of it accepts them.
_ATOM = r"""[^\x00-\x20\x7f()<>\[\]:;@\\,".]++"""
_QUOTED = r'"(?:[^\x00-\x1f\x7f"\\]|\\[^\x00-\x1f\x7f])*"'
_SPEC = rf'(?:{_ATOM}(?:\.{_ATOM})*|(?!""){_QUOTED})@ *{_ATOM}(?:\.{_ATOM})*'
_PHRASE = rf"(?:(?:{_ATOM}|\.|{_QUOTED}) *+)++"
_COMMENT = r"(?: *\([^\x00-\x1f\x7f()\\]*\))?"
_MAILBOX = rf"(?:{_SPEC}|(?:{_PHRASE})?< *{_SPEC}>){_COMMENT}"

# https://www.mongodb.com/docs/manual/reference/connection-string, as the Go driver reads it (its package connstring).
_WORD = rf"(?:[^/:@%]|{_ESCAPE})*"
_MONGODB_URI = (
    rf"(?s)mongodb(?P<srv>\+srv)?://(?P<user>{_WORD}(?::{_WORD})?@)?"
    r"(?P<hosts>[^/?@]+)(?(user)(?:/.*)?|(?:/[^@]*)?)"
)
_MONGODB_HOST = rf"(?:(?:[^:%\[\]]|{_ESCAPE})+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?"

# https://www.rfc-editor.org/rfc/rfc7468, section 5
_CERTIFICATE = r"(?s)-----BEGIN CERTIFICATE-----.*?(?:-----END CERTIFICATE-----|\Z)"

# https://pkg.go.dev/github.com/distribution/reference
_COMPONENT = "[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*"
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = rf"(?:{_LABEL}(?:[.]{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
_DIGEST = "(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})"
_IMAGE = rf"(?:{_REGISTRY}/)?{_COMPONENT}(?:/{_COMPONENT})*(?::\w[\w.-]{{0,127}})?(?:@{_DIGEST})?"


def text(value: str) -> str:
    """Accept any text without control characters."""
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError("control characters are not allowed")
    return value


def line(value: str, *, longest: int) -> str:
    """Accept one line of printable text, of at most `longest` characters."""
    if not value.isprintable():
        raise ValueError("expected one line of printable characters")
    if len(value) > longest:
        raise ValueError(f"expected at most {longest} characters, not {len(value)}")
    return value


def command(value: str, *, longest: int) -> str:
    """Accept one line as `line` does, without three backticks, which would end a code block in Slack."""
    if "```" in value:
        raise ValueError("expected a command or an address without ```")
    return line(value, longest=longest)


def grafana_password(value: str) -> str:
    """Accept a password that Grafana's `reset-admin-password` accepts: it rejects fewer than five bytes as weak."""
    if len(value.encode()) < _GRAFANA_MINIMUM:
        raise ValueError(f"Grafana requires a password of at least {_GRAFANA_MINIMUM} characters")
    return text(value)


def port(value: str) -> str:
    """Accept a TCP port, without leading zeros."""
    # `int` alone would reject thousands of digits with its own message.
    if not re.fullmatch(r"0*[1-9][0-9]{0,4}", value) or int(value.lstrip("0")) > 65535:
        raise ValueError("expected a port from 1 to 65535")
    return value.lstrip("0")


def address(value: str) -> str:
    """Accept an IPv4 or IPv6 address and return it without brackets."""
    bare = value[1:-1] if re.fullmatch(r"\[.*:.*\]", value) else value
    try:
        # Docker does not accept a zone, such as the %eth0 of a link-local address.
        return str(ipaddress.ip_address("" if "%" in bare else bare))
    except ValueError:
        raise ValueError("expected an IP address such as 127.0.0.1 or ::1") from None


def url(value: str) -> str:
    """Accept an http or https URL with a host, as the stack's programs parse it.

    They are written in Go, whose net/url is stricter than Python's urllib about characters in the host, ports that are
    not numbers, invalid escapes in the path, and surrounding spaces.
    """
    found = re.fullmatch(_URL, value)
    if found is None or int(found["port"] or 0) > 65535:
        raise ValueError("expected an http:// or https:// URL")
    if found["ip"]:
        address(found["ip"])
    return value


def base_url(value: str) -> str:
    """Accept the http or https URL of a folder, without credentials, query or fragment.

    Return it without a trailing slash, and with all characters in its path percent-encoded that YAML, HTML, Slack or Go
    templates could interpret.
    """
    parts = urlsplit(url(value))
    if parts.username is not None or {"?", "#"} & set(value):
        raise ValueError("expected a URL without a user, query (?) and fragment (#)")
    path = quote(parts.path.rstrip("/"), safe="/%:@!$()*,;=~")
    return f"{parts.scheme}://{parts.netloc}{path}"


def index(value: str) -> str:
    """Accept the URL of a package index, without credentials."""
    if urlsplit(url(value)).username is not None:
        # Credentials would remain in the image.
        raise ValueError("expected an index without a user name and password")
    return value


def proxy(value: str) -> str:
    """Accept the URL of an HTTP proxy that containers can reach, without credentials.

    It becomes part of the rendered configuration, which must not contain secrets.
    """
    parts = urlsplit(url(value))
    if parts.username is not None:
        raise ValueError(
            "expected a proxy without a user name and password, such as a local one that logs in to yours"
        )
    name = parts.hostname or ""
    if name.lower() == "localhost" or (_is_ip(name) and ipaddress.ip_address(name).is_loopback):
        raise ValueError(
            "containers cannot reach this machine's loopback address: use the proxy's address on a network"
        )
    return value


def no_proxy(value: str) -> str:
    """Accept comma-separated hosts, domains, addresses and networks, as Go's httpproxy package parses them."""
    if not re.fullmatch(r"[A-Za-z0-9.:_\[\]*/ -]+(,[A-Za-z0-9.:_\[\]*/ -]+)*", value):
        raise ValueError(
            "expected comma-separated hosts, domains and networks, such as corp.example,10.0.0.0/8"
        )
    return value


def certificates(value: str) -> str:
    """Accept the path of a PEM file with certificates and without a private key, and return the absolute path."""
    # Importing it takes longer than the rest of this module.
    import ssl

    try:
        path = Path(text(value)).expanduser().absolute()
        content = path.read_text(encoding="utf-8", errors="replace")
    except (OSError, RuntimeError) as error:
        # A RuntimeError is raised for ~ if the user has no home folder.
        why = error.strerror if isinstance(error, OSError) else None
        raise ValueError(f"cannot read it: {why or error}") from None
    if "PRIVATE KEY-----" in content:
        raise ValueError("it contains a private key, which containers must not receive")
    try:
        for found in re.findall(_CERTIFICATE, content) or [""]:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=found)
    except (ssl.SSLError, ValueError):
        raise ValueError("expected a PEM file with certificates") from None
    return str(path)


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def host(value: str) -> str:
    """Accept a host name, or an IPv4 address."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", value):
        raise ValueError("expected a host name")
    return value


def socket_path(value: str) -> str:
    """Accept the absolute path of a socket."""
    # Compose files contain it in quotes and before a colon.
    if not value.startswith("/") or not {"'", ":"}.isdisjoint(value):
        raise ValueError("expected an absolute path without quotes and colons")
    return text(value)


def host_or_address(value: str) -> str:
    """Accept a host name, or an IPv4 or IPv6 address."""
    try:
        return address(value)
    except ValueError:
        return host(value)


def sender(value: str) -> str:
    """Accept one e-mail address, with or without a name: alerts@example.org or Alerts <alerts@example.org>."""
    if not re.fullmatch(rf"[ ,]*{_MAILBOX}[ ,]*", value):
        raise ValueError("expected one e-mail address, such as alerts@example.org")
    return _no_template(value)


def recipients(value: str) -> str:
    """Accept one or more comma-separated e-mail addresses, with or without names."""
    if not re.fullmatch(rf"[ ,]*{_MAILBOX}(?: *,[ ,]*{_MAILBOX})*[ ,]*", value):
        raise ValueError("expected e-mail addresses, separated by commas")
    return _no_template(value)


def smtp_tls(value: str) -> str:
    """Accept a kind of encryption for the connection to the mail server."""
    return one_of(SMTP_TLS, value)


def one_of(choices: Sequence[str], value: str) -> str:
    """Accept one of these words, in any case."""
    if value.lower() not in choices:
        raise ValueError(f"expected one of {', '.join(choices)}")
    return value.lower()


def _no_template(value: str) -> str:
    # Alertmanager would interpret it as a template.
    if "{{" in value:
        raise ValueError("{{ is not allowed, because it starts a template")
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
    """Accept true or false, in the usual spellings."""
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
        raise ValueError("expected true or false") from None


def image(value: str) -> str:
    """Accept an image reference, by Docker's grammar."""
    name = value.partition("@")[0]
    if not re.fullmatch(_IMAGE, value, re.ASCII) or re.fullmatch("[0-9a-f]{64}", name):
        raise ValueError("expected an image reference such as registry.example/name:1.2")
    return value


def mirror(value: str) -> str:
    """Accept a registry, with an optional path."""
    host = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]+)?"
    folder = r"[a-z0-9]+([._-]+[a-z0-9]+)*"
    found = re.fullmatch(rf"(?P<host>{host})(/{folder})*", value)
    # To Docker, a first part without a dot or port that is not localhost is a user of Docker Hub.
    if found is None or not (re.search(r"[.:]", found["host"]) or found["host"] == "localhost"):
        raise ValueError("expected a registry such as mirror.example:5000 or mirror.example/path")
    return value


def mongodb_uri(value: str) -> str:
    """Accept the connection string of a MongoDB server or cluster, as the exporter's driver parses it."""
    found = re.fullmatch(_MONGODB_URI, value)
    if found is None:
        raise ValueError(
            "expected mongodb://USER:PASSWORD@HOST:PORT/ or mongodb+srv://USER:PASSWORD@HOST/, with / : @ and %"
            " in the user and the password written as %2F, %3A, %40 and %25"
        )
    hosts = _mongodb_hosts(value)
    if found["srv"] and (found["hosts"] != hosts[0] or not re.fullmatch(r"[^:\[\]]+", hosts[0])):
        raise ValueError(
            "mongodb+srv:// requires one host without a port, whose DNS entry lists the servers"
        )
    for one in hosts:
        if not re.fullmatch(_MONGODB_HOST, one):
            raise ValueError("expected a host after the @, optionally with a port from 1 to 65535")
        if ":" in one.rpartition("]")[2]:
            port(one.rpartition(":")[2])
    return text(value)


def names_one_mongodb(value: str) -> bool:
    """Return whether a valid connection string names a single server, to which clients can connect directly."""
    return not value.startswith("mongodb+srv:") and len(_mongodb_hosts(value)) == 1


def _mongodb_hosts(value: str) -> list[str]:
    found = re.fullmatch(_MONGODB_URI, value)
    # The driver ignores empty hosts.
    return [host for host in found["hosts"].split(",") if host] or [""] if found else []


def path(value: str) -> str:
    """Accept the path of a URL."""
    if not re.fullmatch(r"/[!-~]*", value):
        raise ValueError("expected a path such as /api/health")
    return value


def network(value: str) -> str:
    """Accept the name of a Docker network."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise ValueError("expected the name of a Docker network, as listed by `docker network ls`")
    return value
