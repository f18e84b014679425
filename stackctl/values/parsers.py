"""Parsers of settings: each takes the text that a user wrote and returns it normalised, or raises ValueError.

The message of the ValueError says what is expected; the setting's name and origin are added where it is reported.
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
"""How mail is encrypted on its way to the server. `auto` is `implicit` on port 465, `starttls` on any other."""

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
        raise ValueError("it has a control character")
    return value


def line(value: str, *, longest: int) -> str:
    """Accept one line of printable text, of at most `longest` characters."""
    if not value.isprintable():
        raise ValueError("one line of printable characters is expected")
    if len(value) > longest:
        raise ValueError(f"at most {longest} characters are expected, and it has {len(value)}")
    return value


def command(value: str, *, longest: int) -> str:
    """Accept one line as `line` does that can be shown as code: three backticks would end Slack's."""
    if "```" in value:
        raise ValueError("a command or an address without ``` is expected")
    return line(value, longest=longest)


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
    found = re.fullmatch(_URL, value)
    if found is None or int(found["port"] or 0) > 65535:
        raise ValueError("an http:// or https:// address is expected")
    if found["ip"]:
        address(found["ip"])
    return value


def base_url(value: str) -> str:
    """Accept the http or https URL of a folder, without credentials, query and fragment.

    Returns it without a slash at its end, and with everything in its path percent-encoded that YAML, HTML, Slack or a
    Go template could read as markup.
    """
    parts = urlsplit(url(value))
    if parts.username is not None or {"?", "#"} & set(value):
        raise ValueError("an address without a user, a query (?) and a fragment (#) is expected")
    path = quote(parts.path.rstrip("/"), safe="/%:@!$()*,;=~")
    return f"{parts.scheme}://{parts.netloc}{path}"


def index(value: str) -> str:
    """Accept the URL of a package index, without credentials."""
    if urlsplit(url(value)).username is not None:
        # It would stay in the image that is built with it.
        raise ValueError("an index without a user's name or password is expected")
    return value


def proxy(value: str) -> str:
    """Accept the URL of an HTTP proxy that containers can reach, without credentials.

    It stands in rendered configuration, which has no secrets.
    """
    parts = urlsplit(url(value))
    if parts.username is not None:
        raise ValueError(
            "a proxy without a user's name or password is expected, such as one of this machine that logs in"
        )
    name = parts.hostname or ""
    if name.lower() == "localhost" or (_is_ip(name) and ipaddress.ip_address(name).is_loopback):
        raise ValueError(
            "containers do not reach this machine's loopback: give the proxy's address on a network"
        )
    return value


def no_proxy(value: str) -> str:
    """Accept hosts, domains, addresses and networks with commas between, as Go's httpproxy package reads them."""
    if not re.fullmatch(r"[A-Za-z0-9.:_\[\]*/ -]+(,[A-Za-z0-9.:_\[\]*/ -]+)*", value):
        raise ValueError(
            "hosts, domains and networks with commas between are expected, such as corp.example,10.0.0.0/8"
        )
    return value


def certificates(value: str) -> str:
    """Accept the path of a PEM file with certificates and no private key, and return it whole."""
    # It takes longer to load than all the rest of this module.
    import ssl

    try:
        path = Path(text(value)).expanduser().absolute()
        content = path.read_text(encoding="utf-8", errors="replace")
    except (OSError, RuntimeError) as error:
        # The latter for a ~ of a user who has no home folder.
        why = error.strerror if isinstance(error, OSError) else None
        raise ValueError(f"it cannot be read: {why or error}") from None
    if "PRIVATE KEY-----" in content:
        raise ValueError("it has a private key, which no container is to get")
    try:
        for found in re.findall(_CERTIFICATE, content) or [""]:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=found)
    except (ssl.SSLError, ValueError):
        raise ValueError("a file with certificates in PEM form is expected") from None
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
        raise ValueError("an image reference such as registry.example/name:1.2 is expected")
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
    """Accept the connection string of a MongoDB server or cluster, as the driver of its exporter reads it."""
    found = re.fullmatch(_MONGODB_URI, value)
    if found is None:
        raise ValueError(
            "mongodb://USER:PASSWORD@HOST:PORT/ is expected, or mongodb+srv://USER:PASSWORD@HOST/, with / : @ and %"
            " in the user and the password written as %2F, %3A, %40 and %25"
        )
    hosts = _mongodb_hosts(value)
    if found["srv"] and (found["hosts"] != hosts[0] or not re.fullmatch(r"[^:\[\]]+", hosts[0])):
        raise ValueError(
            "mongodb+srv:// takes one host without a port, whose DNS names the servers"
        )
    for one in hosts:
        if not re.fullmatch(_MONGODB_HOST, one):
            raise ValueError("a host, with a port from 1 to 65535 or none, is expected after the @")
        if ":" in one.rpartition("]")[2]:
            port(one.rpartition(":")[2])
    return text(value)


def names_one_mongodb(value: str) -> bool:
    """Return whether an accepted connection string names one server, to which a client can connect directly."""
    return not value.startswith("mongodb+srv:") and len(_mongodb_hosts(value)) == 1


def _mongodb_hosts(value: str) -> list[str]:
    found = re.fullmatch(_MONGODB_URI, value)
    # The driver passes over an empty one.
    return [host for host in found["hosts"].split(",") if host] or [""] if found else []


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
