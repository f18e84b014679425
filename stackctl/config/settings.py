"""The settings of one project, with their values and origins."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stackctl.config.registry import SECRET_FILE, SETTINGS
from stackctl.services.catalog import PUBLISHED_PORTS
from stackctl.values.secret import Secret

ENVIRONMENT = "environment"
"""The origin of a value from an environment variable."""

_PREFIX = "STACKCTL_"
_ENVIRONMENT_ONLY = ("STACKCTL_DEBUG", "STACKCTL_STATE_DIR")
WITHOUT_EFFECT: Mapping[str, str] = {
    "COMPOSE_FILE": "set STACKCTL_APP_FILES for your own files, or write a stackctl.override.yml",
    "COMPOSE_PROFILES": "use `up --no-demo` or stackctl.override.yml to change what runs",
    "DOCKER_CONTENT_TRUST": "`stackctl images lock` pins every image to its digest",
    "DOCKER_DEFAULT_PLATFORM": "set `platform:` for a service in stackctl.override.yml",
}
"""Variables of Docker that stackctl does not pass on, because they would change its decisions → what to use instead."""
_ALIKE = 0.85
"""How similar to a setting a name must be to count as a typo; an application's own names are less similar."""


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value and its origin: a flag, the environment, a line of a file, or the default."""

    text: Secret | str | None
    origin: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one project. `settings["NAME"]` is text or None; `secret` returns secrets."""

    project: str
    values: Mapping[str, Value] = field(repr=False)
    engine_host: str | None = field(default=None, kw_only=True)
    """The machine of a remote engine."""
    others: Mapping[str, str] = field(default_factory=dict)
    """Names in the file that are not settings, with their locations, because an application may share the file.

    Variables of `WITHOUT_EFFECT` in the environment are included."""

    def __getitem__(self, name: str) -> str | None:
        text = self.values[name].text
        if not isinstance(text, str | None):
            raise KeyError(f"{name} is a secret: use Settings.secret")
        return text

    def secret(self, name: str) -> Secret | None:
        """Return a secret as a Secret; None if it is not set."""
        text = self.values[name].text
        if isinstance(text, str):
            raise KeyError(f"{name} is not a secret")
        return text

    def missing(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the settings among these that have no value."""
        return tuple(name for name in names if self.values[name].text is None)

    def enabled(self, name: str) -> bool:
        """Return whether a Boolean setting is true."""
        return self[name] == "true"

    def url(self, service: str) -> str:
        """Return the base address, without a trailing slash, of a service that publishes a port.

        Raises KeyError for other services.
        """
        return f"http://{self.host}:{self[PUBLISHED_PORTS[service].setting]}"

    @property
    def host(self) -> str:
        """The host in the services' addresses."""
        return self.host_at(self["STACKCTL_BIND_ADDRESS"] or "127.0.0.1")

    def host_at(self, published: str) -> str:
        """Return the host at which a port that the engine publishes on an address is reached; IPv6 is in brackets.

        It is the engine's host unless STACKCTL_HOST is set.
        """
        bind = ipaddress.ip_address(published)
        if bind.is_unspecified or bind.is_loopback:
            loopback = "127.0.0.1" if bind.version == 4 else "::1"
            bound = self.engine_host or (loopback if bind.is_unspecified else str(bind))
        else:
            bound = str(bind)
        host = self["STACKCTL_HOST"] or bound
        return f"[{host}]" if ":" in host else host

    def doubts(self) -> list[tuple[str, str]]:
        """Return (problem, remedy) for each name in the file that looks like a setting but is not.

        Variables of Docker that stackctl ignores are included, and files of secrets that other users can read.
        """
        found = []
        for row in SETTINGS.values():
            path = self.values[f"{row.name}{SECRET_FILE}"] if row.secret else None
            if path is not None and self.values[row.name].origin == origin_in_file(path):
                found += _loose(row.name, str(path.text))
        if not self.others:
            return found
        import difflib

        for name, origin in self.others.items():
            # Names are case-sensitive, for shells and for Compose.
            close = difflib.get_close_matches(name.upper(), SETTINGS, n=1, cutoff=_ALIKE)
            if name in WITHOUT_EFFECT:
                found.append((f"{name} ({origin}) has no effect on stackctl", WITHOUT_EFFECT[name]))
            elif name in _ENVIRONMENT_ONLY:
                found.append((f"{name} has no effect in {origin}", "set it in the environment"))
            elif close or name.upper().startswith(_PREFIX):
                remedy = f"did you mean {close[0]}?" if close else "see `stackctl config`"
                found.append((f"unknown setting {name} ({origin})", remedy))
        return found


def origin_in_file(path: Value) -> str:
    """Return the origin of a secret that was read from a file."""
    return f"{path.text} ({path.origin})"


def _loose(name: str, path: str) -> list[tuple[str, str]]:
    mode = Path(path).expanduser().stat().st_mode
    remedy = f"chmod 600 {path}"
    return [(f"other users can read {path}, which contains {name}", remedy)] if mode & 0o044 else []
