"""The settings of one project, with the values in force and where each came from."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stackctl.config.registry import SECRET_FILE, SETTINGS
from stackctl.services.catalog import PUBLISHED_PORTS
from stackctl.values.secret import Secret

ENVIRONMENT = "environment"
"""The origin of a value that an environment variable gave."""

_PREFIX = "STACKCTL_"
_ENVIRONMENT_ONLY = ("STACKCTL_DEBUG", "STACKCTL_STATE_DIR")
WITHOUT_EFFECT: Mapping[str, str] = {
    "COMPOSE_FILE": "name files of your own in STACKCTL_APP_FILES, or write a stackctl.override.yml",
    "COMPOSE_PROFILES": "`up --no-demo` and stackctl.override.yml decide what runs",
    "DOCKER_CONTENT_TRUST": "`stackctl images lock` pins every image to its digest",
    "DOCKER_DEFAULT_PLATFORM": "set `platform:` of a service in stackctl.override.yml",
}
"""Variables of Docker that stackctl lets no program have, as they would change what it decides → what does it here."""
_ALIKE = 0.85
"""How alike a name must be to a setting's to count as a slip; an application's own names are less so."""


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value and where it came from: a flag, the environment, a line of a file, the default."""

    text: Secret | str | None
    origin: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one project. `settings["NAME"]` is text or None; secrets come from `secret`."""

    project: str
    values: Mapping[str, Value] = field(repr=False)
    engine_host: str | None = field(default=None, kw_only=True)
    """The machine of a remote engine."""
    others: Mapping[str, str] = field(default_factory=dict)
    """The names in the file that are no settings, with their places: an application may share it.

    Those of `WITHOUT_EFFECT` in the environment are among them."""

    def __getitem__(self, name: str) -> str | None:
        text = self.values[name].text
        if not isinstance(text, str | None):
            raise KeyError(f"{name} is a secret: ask Settings.secret for it")
        return text

    def secret(self, name: str) -> Secret | None:
        """Give a secret, still wrapped, or None where it is not set."""
        text = self.values[name].text
        if isinstance(text, str):
            raise KeyError(f"{name} is not a secret")
        return text

    def missing(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return those of these settings that have no value."""
        return tuple(name for name in names if self.values[name].text is None)

    def enabled(self, name: str) -> bool:
        """Tell whether a true-or-false setting is on."""
        return self[name] == "true"

    def url(self, service: str) -> str:
        """Give the base address, without a final slash, of a service that publishes a port.

        Raises KeyError for a service that publishes none.
        """
        return f"http://{self.host}:{self[PUBLISHED_PORTS[service].setting]}"

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

    def doubts(self) -> list[tuple[str, str]]:
        """Give (what is odd, remedy) for each name in the file that looks like a setting and is none.

        A variable that Docker would heed and stackctl does not is odd as well, and so is a secret's file that others
        can read.
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
            # In small letters it is a name of its own, for shells and Compose alike.
            close = difflib.get_close_matches(name.upper(), SETTINGS, n=1, cutoff=_ALIKE)
            if name in WITHOUT_EFFECT:
                found.append((f"{name} ({origin}) has no effect on stackctl", WITHOUT_EFFECT[name]))
            elif name in _ENVIRONMENT_ONLY:
                found.append(
                    (f"{name} ({origin}) has no effect there", "set it in the environment")
                )
            elif close or name.upper().startswith(_PREFIX):
                remedy = f"did you mean {close[0]}?" if close else "`stackctl config` lists them"
                found.append((f"{name} ({origin}) is no setting", remedy))
        return found


def origin_in_file(path: Value) -> str:
    """Return the origin of a secret that was read from the file that `path` names."""
    return f"{path.text} ({path.origin})"


def _loose(name: str, path: str) -> list[tuple[str, str]]:
    mode = Path(path).expanduser().stat().st_mode
    remedy = f"chmod 600 {path}"
    return [(f"{path}, which has {name}, can be read by others", remedy)] if mode & 0o044 else []
