"""The settings of the stack: flags over environment over .env over defaults, each with its origin.

A setting is a row of `SETTINGS`: its name in .env and in the environment, what it may be, its default and
what it is for. A new one is a new row.
"""

from __future__ import annotations

import difflib
import io
import ipaddress
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stackctl.applications import APPLICATIONS, parse_target
from stackctl.errors import UsageError
from stackctl.redaction import remember

if TYPE_CHECKING:
    from dotenv.parser import Binding
    from pydantic import SecretStr

DEFAULT_PROJECT = "bot-core"
ENV_FILE = ".env"

OVERRIDE_FILE = "stackctl.override.yml"
"""A Compose file of this name in the current folder is merged over all others."""

_PREFIX = "STACKCTL_"
_LONGEST = 32_768
"""Characters of a value: what a program is called with has a limit in the kernel, too."""
_SHOWN = 80
"""Characters of a wrong value that an error shows."""
_ENVIRONMENT_ONLY = ("STACKCTL_DEBUG", "STACKCTL_STATE_DIR")
_ENVIRONMENT = "environment"
_FILE = "_FILE"
"""The end of the name of the setting that gives a secret by its file, as the images on Docker Hub have it."""
_MAX_SECRET = 64 * 1024
_ALIKE = 0.85
"""How alike a name must be to a setting's to count as a slip; an application's own names are less so."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that can be set: `parse` gives the normalised text or raises ValueError with the reason."""

    name: str
    default: str | None
    parse: Callable[[str], str]
    help: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value and where it came from: a flag, the environment, a line of a file, the default."""

    text: SecretStr | str | None
    origin: str


def _text(value: str) -> str:
    if any(ord(character) < 32 for character in value):
        raise ValueError("it has a control character")
    return value


def _port(value: str) -> str:
    # Not by `int` alone, which refuses thousands of digits with words of its own.
    if not re.fullmatch(r"0*[1-9][0-9]{0,4}", value) or int(value.lstrip("0")) > 65535:
        raise ValueError("a port is a whole number from 1 to 65535")
    return value.lstrip("0")


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("an IP address is expected, such as 127.0.0.1") from None


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("an http:// or https:// address is expected")
    return value


def _index(value: str) -> str:
    if urlsplit(_url(value)).username is not None:
        # It would stay in the image that is built with it.
        raise ValueError("an index without a user's name or password is expected")
    return value


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", value):
        raise ValueError("a host name is expected")
    return value


def _socket_path(value: str) -> str:
    if not value.startswith("/") or "'" in value:
        raise ValueError("an absolute path without a quote is expected")
    return _text(value)


def _host_or_address(value: str) -> str:
    try:
        return _address(value)
    except ValueError:
        return _host(value)


def _email(value: str) -> str:
    if not re.fullmatch(r"[^@\s,]+@[^@\s,]+(, ?[^@\s,]+@[^@\s,]+)*", value):
        raise ValueError("an e-mail address is expected")
    return value


def _duration(value: str) -> str:
    if not re.fullmatch(r"(\d+(y|w|d|h|m|s|ms))+", value):
        raise ValueError("a duration such as 90d or 12h is expected")
    return value


def _size(value: str) -> str:
    if not re.fullmatch(r"\d+(B|KB|MB|GB|TB|PB|EB)", value):
        raise ValueError("a size such as 50GB is expected")
    return value


def _flag(value: str) -> str:
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


def _image(value: str) -> str:
    if not re.fullmatch(r"[\w][\w./:@-]*", value):
        raise ValueError("an image reference such as prom/prometheus:v2.48.0 is expected")
    return value


def _mirror(value: str) -> str:
    host = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]+)?"
    folder = r"[a-z0-9]+([._-]+[a-z0-9]+)*"
    found = re.fullmatch(rf"(?P<host>{host})(/{folder})*", value)
    # Docker takes a first part without a dot, a port or this name for a user of Docker Hub.
    if found is None or not (re.search(r"[.:]", found["host"]) or found["host"] == "localhost"):
        raise ValueError(
            "a registry such as mirror.example:5000 or mirror.example/path is expected"
        )
    return value


def _mongodb_uri(value: str) -> str:
    if not value.startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("a mongodb:// address is expected")
    return _text(value)


def _path(value: str) -> str:
    if not re.fullmatch(r"/[!-~]*", value):
        raise ValueError("a path such as /api/health is expected")
    return value


def _network(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise ValueError(
            "the name of a Docker network is expected, as `docker network ls` gives it"
        )
    return value


PUBLISHED_PORTS: Mapping[str, tuple[str, int]] = {
    "prometheus": ("PROMETHEUS_PORT", 9090),
    "alertmanager": ("ALERTMANAGER_PORT", 9093),
    "grafana": ("GRAFANA_PORT", 3001),
    "loki": ("LOKI_PORT", 3100),
    "promtail": ("PROMTAIL_PORT", 9080),
    "node-exporter": ("NODE_EXPORTER_PORT", 9100),
    "cadvisor": ("CADVISOR_PORT", 8081),
    "mongodb-exporter": ("MONGODB_EXPORTER_PORT", 9216),
    "redis-exporter": ("REDIS_EXPORTER_PORT", 9121),
    "blackbox-exporter": ("BLACKBOX_EXPORTER_PORT", 9115),
    "rust-core-engine": ("RUST_CORE_ENGINE_PORT", 8080),
    "python-ai-service": ("PYTHON_AI_SERVICE_PORT", 8000),
    "nextjs-ui-dashboard": ("NEXTJS_UI_DASHBOARD_PORT", 3000),
    "kong": ("KONG_PORT", 8001),
    "rabbitmq": ("RABBITMQ_METRICS_PORT", 15692),
    "notification-sink": ("NOTIFICATION_SINK_PORT", 8025),
}
"""Service → the setting of its port on this machine, and its default (the plan's section 5.4)."""

IMAGE_VARIABLES = (
    "PROMETHEUS_IMAGE",
    "ALERTMANAGER_IMAGE",
    "GRAFANA_IMAGE",
    "LOKI_IMAGE",
    "PROMTAIL_IMAGE",
    "NODE_EXPORTER_IMAGE",
    "CADVISOR_IMAGE",
    "MONGODB_EXPORTER_IMAGE",
    "REDIS_EXPORTER_IMAGE",
    "BLACKBOX_EXPORTER_IMAGE",
    "DOCKER_SOCKET_PROXY_IMAGE",
    "REDIS_IMAGE",
    "RABBITMQ_IMAGE",
    "MONGODB_IMAGE",
    "DEMO_IMAGE",
)

GENERATED_SECRETS = (
    "GRAFANA_PASSWORD",
    "REDIS_EXPORTER_PASSWORD",
    "RABBITMQ_PASSWORD",
    "MONGODB_PASSWORD",
)
"""Passwords that stackctl makes up on the first `up` where the user gave none."""


def _rows() -> Iterator[Setting]:
    yield Setting(
        "STACKCTL_BIND_ADDRESS", "127.0.0.1", _address, "address that every port is published on"
    )
    yield Setting(
        "STACKCTL_HOST",
        None,
        _host_or_address,
        "host in the services' addresses, where it is not the engine's",
    )
    yield Setting(
        "STACKCTL_COPY_FILES",
        "false",
        _flag,
        "hand configuration and secrets over in volumes, as is always done with a remote engine",
    )
    yield Setting(
        "STACKCTL_DOCKER_SOCKET",
        None,
        _socket_path,
        "the engine's socket on its own machine, where it is an unusual one",
    )
    for service, (name, port) in PUBLISHED_PORTS.items():
        yield Setting(name, str(port), _port, f"port of {service} on this machine")
    for name in IMAGE_VARIABLES:
        yield Setting(name, None, _image, "another image for this service")
    yield Setting(
        "STACKCTL_REGISTRY_MIRROR",
        None,
        _mirror,
        "registry that every upstream image is taken from",
    )
    yield Setting(
        "DEMO_BASE_IMAGE",
        "python:3.12-slim",
        _image,
        "image that the demo's own is built on (upstream set)",
    )
    yield Setting(
        "STACKCTL_PYPI_MIRROR",
        None,
        _index,
        "package index that the demo's libraries are taken from (upstream set)",
    )
    yield Setting("PROMETHEUS_RETENTION_TIME", "90d", _duration, "how long metrics are kept")
    yield Setting("PROMETHEUS_RETENTION_SIZE", "50GB", _size, "how much disk metrics may take")
    yield Setting(
        "PROMETHEUS_ADMIN_API",
        "false",
        _flag,
        "let whoever reaches Prometheus delete series and take snapshots",
    )
    yield Setting(
        "STACKCTL_KUBERNETES", "false", _flag, "scrape the Kubernetes cluster around Prometheus"
    )
    yield Setting("BINANCE_API_URL", None, _url, "address that the binance-api job probes")
    yield Setting(
        "ALERTMANAGER_SLACK_WEBHOOK_URL", None, _url, "Slack incoming webhook", secret=True
    )
    yield Setting(
        "ALERTMANAGER_PAGERDUTY_KEY", None, _text, "PagerDuty integration key", secret=True
    )
    yield Setting("ALERTMANAGER_EMAIL_FROM", None, _email, "sender of alert e-mails")
    yield Setting("ALERTMANAGER_EMAIL_TO", None, _email, "recipients of alert e-mails")
    yield Setting("ALERTMANAGER_SMTP_HOST", None, _host, "SMTP server")
    yield Setting("ALERTMANAGER_SMTP_PORT", "587", _port, "SMTP server's port")
    yield Setting("ALERTMANAGER_SMTP_USERNAME", None, _text, "SMTP user")
    yield Setting("ALERTMANAGER_SMTP_PASSWORD", None, _text, "SMTP password", secret=True)
    yield Setting(
        "ALERTMANAGER_DEAD_MANS_SWITCH_URL",
        None,
        _url,
        "dead man's switch: address called every minute while alerting works",
        secret=True,
    )
    yield Setting(
        "STACKCTL_ATTACH", None, _network, "network of a running bot-core to join (up --attach)"
    )
    yield Setting(
        "STACKCTL_APP_FILES",
        None,
        _text,
        f"bot-core's own Compose files, {os.pathsep} between them (up --app-file)",
    )
    for one in APPLICATIONS.values():
        if one.name == "mongodb":
            continue
        yield Setting(
            one.setting,
            one.target,
            partial(parse_target, one),
            f"where {one.name} is without the demo, or none",
        )
        if one.health is not None:
            yield Setting(
                one.health_setting, one.health, _path, f"{one.name}'s health path without the demo"
            )
    yield Setting(
        "MONGODB_EXPORTER_URI", None, _mongodb_uri, "MongoDB address with credentials", secret=True
    )
    for name in GENERATED_SECRETS:
        yield Setting(name, None, _text, "password; generated where it is not given", secret=True)


def _with_files() -> Iterator[Setting]:
    for row in _rows():
        yield row
        if row.secret:
            name = f"{row.name}{_FILE}"
            yield Setting(name, None, _text, f"file that has {row.name}, in the place of it")


SETTINGS: Mapping[str, Setting] = {row.name: row for row in _with_files()}

_PORT_VARIABLES = frozenset(name for name, _ in PUBLISHED_PORTS.values())
_JOINING = frozenset(
    {
        "STACKCTL_ATTACH",
        "STACKCTL_APP_FILES",
        *(name for one in APPLICATIONS.values() for name in (one.setting, one.health_setting)),
    }
)
_GROUPS: tuple[tuple[str, Callable[[Setting], bool]], ...] = (
    ("Ports on this machine", lambda row: row.name in _PORT_VARIABLES),
    ("Notifications", lambda row: row.name.startswith("ALERTMANAGER_") and row.parse is not _image),
    ("Images", lambda row: row.parse in {_image, _mirror, _index}),
    ("Your own bot-core", lambda row: row.name in _JOINING),
    (
        "Passwords and credentials",
        lambda row: row.secret or SETTINGS[row.name.removesuffix(_FILE)].secret,
    ),
    ("The stack", lambda _: True),
)
"""Heading → what belongs below it; a setting is below the first that takes it."""


def grouped() -> dict[str, list[Setting]]:
    """Give all settings by the heading that they are shown under."""
    groups: dict[str, list[Setting]] = {heading: [] for heading, _ in _GROUPS}
    for row in SETTINGS.values():
        groups[next(heading for heading, takes in _GROUPS if takes(row))].append(row)
    return groups


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one project. `settings["NAME"]` is text or None; secrets come from `secret`."""

    project: str
    values: Mapping[str, Value] = field(repr=False)
    engine_host: str | None = field(default=None, kw_only=True)
    """The machine of a remote engine."""
    others: Mapping[str, str] = field(default_factory=dict)
    """The names in the file that are no settings, with their places: an application may share it."""

    def __getitem__(self, name: str) -> str | None:
        text = self.values[name].text
        if not isinstance(text, str | None):
            raise KeyError(f"{name} is a secret: ask Settings.secret for it")
        return text

    def secret(self, name: str) -> SecretStr | None:
        """Give a secret, still wrapped, or None where it is not set."""
        text = self.values[name].text
        if isinstance(text, str):
            raise KeyError(f"{name} is not a secret")
        return text

    def enabled(self, name: str) -> bool:
        """Tell whether a true-or-false setting is on."""
        return self[name] == "true"

    def url(self, service: str) -> str:
        """Give the base address, without a final slash, of a service that publishes a port.

        Raises KeyError for a service that publishes none.
        """
        variable, _ = PUBLISHED_PORTS[service]
        return f"http://{self.host}:{self[variable]}"

    @property
    def host(self) -> str:
        """The host in the services' addresses."""
        return self.host_at(self["STACKCTL_BIND_ADDRESS"] or "127.0.0.1")

    def host_at(self, published: str) -> str:
        """Give the host, an IPv6 address in brackets, at which what the engine publishes on an address is reached.

        It is the engine's, unless one was set.
        """
        bind = ipaddress.ip_address(published)
        if bind.is_unspecified or bind.is_loopback:
            loopback = "127.0.0.1" if bind.version == 4 else "::1"
            bound = self.engine_host or (loopback if bind.is_unspecified else str(bind))
        else:
            bound = str(bind)
        host = self["STACKCTL_HOST"] or bound
        return f"[{host}]" if ":" in host else host

    @property
    def host_in_links(self) -> str:
        """The host in the links that the programs make of themselves: by its name where it is this machine."""
        return "localhost" if self.host in {"127.0.0.1", "[::1]"} else self.host

    def doubts(self) -> list[tuple[str, str]]:
        """Give (what is odd, remedy) for each name in the file that looks like a setting and is none.

        A secret's file that others can read is odd as well.
        """
        found = []
        for row in SETTINGS.values():
            path = self.values[f"{row.name}{_FILE}"] if row.secret else None
            if path is not None and self.values[row.name].origin == _origin_in_file(path):
                found += _loose(row.name, str(path.text))
        for name, origin in self.others.items():
            close = difflib.get_close_matches(name, SETTINGS, n=1, cutoff=_ALIKE)
            if name in _ENVIRONMENT_ONLY:
                found.append(
                    (f"{name} ({origin}) has no effect there", "set it in the environment")
                )
            elif close or name.startswith(_PREFIX):
                remedy = f"did you mean {close[0]}?" if close else "`stackctl config` lists them"
                found.append((f"{name} ({origin}) is no setting", remedy))
        return found


def load(
    *,
    project: str | None = None,
    env_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings.

    `project` is the flag's value; `env_file` the file to read, by default `.env` in the current folder
    where there is one; `environ` the environment, by default the process's. Raises UsageError for a file
    that is missing or has a broken line, and for a value that is not what its setting takes.
    """
    environ = os.environ if environ is None else environ
    from_file = _read_env_file(env_file)
    name = project or environ.get("COMPOSE_PROJECT_NAME") or DEFAULT_PROJECT
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name):
        raise UsageError(
            f"the project name {_shortened(name)!r} is not one that Compose takes",
            remedy="use at most 63 small letters, digits, - and _, and begin with a letter or digit",
        )
    values = {row.name: _resolve(row, environ, from_file) for row in SETTINGS.values()}
    for row in SETTINGS.values():
        if row.secret:
            values[row.name] = _either(row, values[row.name], values[f"{row.name}{_FILE}"])
    others = {name: origin for name, (_, origin) in from_file.items() if name not in SETTINGS}
    return Settings(name, values, others)


def _resolve(
    row: Setting, environ: Mapping[str, str], from_file: Mapping[str, tuple[str, str]]
) -> Value:
    if environ.get(row.name):
        raw, origin = environ[row.name], _ENVIRONMENT
    elif row.name in from_file and from_file[row.name][0]:
        raw, origin = from_file[row.name]
    else:
        return Value(row.default, "default" if row.default is not None else "not set")
    return _parsed(row, raw, origin)


def _parsed(row: Setting, raw: str, origin: str) -> Value:
    try:
        if len(raw) > _LONGEST:
            raise ValueError(f"it has more than {_LONGEST} characters")
        text = row.parse(raw)
    except ValueError as reason:
        # There may be a password where none belongs.
        shown = "" if row.secret else f" {_shortened(re.sub(r'//[^/@]*@', '//****@', raw))!r}"
        raise UsageError(
            f"{row.name}{shown} ({origin}) is not valid: {reason}",
            remedy=f"correct {row.name} or remove it",
        ) from None
    if not row.secret:
        return Value(text, origin)
    from pydantic import SecretStr

    remember(text)
    return Value(SecretStr(text), origin)


def _either(row: Setting, given: Value, path: Value) -> Value:
    """Give a secret that is set itself or by its file; of both, the one in the environment.

    Raises UsageError where both are set in the same place, or the file cannot be read or has no such value.
    """
    if path.text is None:
        return given
    if given.text is not None:
        if (given.origin == _ENVIRONMENT) == (path.origin == _ENVIRONMENT):
            raise UsageError(
                f"{row.name} ({given.origin}) and {row.name}{_FILE} ({path.origin}) are both set",
                remedy="remove one of them",
            )
        if given.origin == _ENVIRONMENT:
            return given
    origin = _origin_in_file(path)
    remedy = f"name a file in {row.name}{_FILE} that has it"
    try:
        with Path(str(path.text)).expanduser().open("rb") as stream:
            raw = stream.read(_MAX_SECRET + 1).decode()
    except OSError as error:
        reason = f"{row.name}: {origin} cannot be read: {error.strerror or error}"
        raise UsageError(reason, remedy=remedy) from None
    except UnicodeDecodeError:
        raise UsageError(f"{row.name}: {origin} is no UTF-8 text", remedy=remedy) from None
    # As a shell's $(<file) takes it, which is how the images do.
    raw = raw.rstrip("\n")
    if not raw or len(raw) > _MAX_SECRET:
        what = "is empty" if not raw else f"is longer than {_MAX_SECRET} bytes"
        raise UsageError(f"{row.name}: {origin} {what}", remedy=remedy)
    return _parsed(row, raw, origin)


def _origin_in_file(path: Value) -> str:
    return f"{path.text} ({path.origin})"


def _loose(name: str, path: str) -> list[tuple[str, str]]:
    mode = Path(path).expanduser().stat().st_mode
    remedy = f"chmod 600 {path}"
    return [(f"{path}, which has {name}, can be read by others", remedy)] if mode & 0o044 else []


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _read_env_file(path: Path | None) -> dict[str, tuple[str, str]]:
    """Give name → (value, origin) of a .env file; an absent default file is an empty one."""
    chosen = path or Path(ENV_FILE)
    try:
        text = read_env(chosen)
    except FileNotFoundError:
        if path is None:
            return {}
        raise UsageError(
            f"{path} does not exist", remedy="give --env-file a file that does"
        ) from None
    return parse_env(text, str(chosen))


def read_env(path: Path) -> str:
    """Give the text of a .env file, without the mark that Windows' editors put before it.

    Raises FileNotFoundError, and UsageError for a file that cannot be read or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(
            f"{path} cannot be read: {reason}", remedy="make it a readable UTF-8 text file"
        ) from None


def parse_env(text: str, origin: str) -> dict[str, tuple[str, str]]:
    """Give name → (value, ORIGIN:LINE) of a .env file's text. Raises UsageError with the first broken line."""
    from dotenv.main import resolve_variables
    from dotenv.parser import parse_stream

    bindings = list(parse_stream(io.StringIO(text)))
    lines: dict[str, int] = {}
    for binding in bindings:
        # The parser gives a name without "=" as a key without a value. Compose refuses such a line.
        if binding.error or (binding.key is not None and binding.value is None):
            raise UsageError(
                f"{origin}:{_first_line(binding)} is not NAME=value",
                remedy="correct that line, or put # before it",
            )
        if binding.key is not None:
            lines[binding.key] = _first_line(binding)
    pairs = [(binding.key, binding.value) for binding in bindings if binding.key is not None]
    resolved = resolve_variables(pairs, override=False)
    return {name: (value or "", f"{origin}:{lines[name]}") for name, value in resolved.items()}


def _first_line(binding: Binding) -> int:
    """Give the number of the line that the binding's text begins on: blank lines before it belong to it too."""
    text = binding.original.string
    return binding.original.line + len(text) - len(text.lstrip("\n"))


def nearest(name: str, known: Iterator[str] | list[str] | tuple[str, ...]) -> str:
    """Give a remedy for an unknown name: the nearest known one, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(names)}"
