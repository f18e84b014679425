"""Settings from GF_<SECTION>_<KEY> variables; `GF_…__FILE` names a file with the value, as in the image."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from standins.shared import logs
from standins.shared.process import ConfigError

_TRUE = {"1", "t", "true", "y", "yes", "on"}
_FALSE = {"0", "f", "false", "n", "no", "off"}


@dataclass(frozen=True)
class Settings:
    """The settings in the environment. `root_url` has no trailing slash, `log_level` is logging's number."""

    admin_user: str
    admin_password: str = field(repr=False)
    root_url: str
    anonymous: bool
    allow_sign_up: bool
    provisioning: Path
    data: Path
    address: str
    port: int
    log_level: int

    @property
    def sub_path(self) -> str:
        """The path of the root address, with which links and cookies begin; empty if it has none."""
        return urlsplit(self.root_url).path

    @property
    def secure(self) -> bool:
        """Whether cookies are for https only."""
        return self.root_url.startswith("https://")


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings. Raises ConfigError for an invalid value."""
    value = _Reader(environment)
    level = logs.level(value.text("LOG_LEVEL", "info"))
    if level is None:
        raise ConfigError("GF_LOG_LEVEL is not one of debug, info, warn, error")
    port = value.text("SERVER_HTTP_PORT", "3000")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError("GF_SERVER_HTTP_PORT is not the number of a port")
    return Settings(
        admin_user=value.text("SECURITY_ADMIN_USER", "admin"),
        admin_password=value.text("SECURITY_ADMIN_PASSWORD", "admin"),
        root_url=value.text("SERVER_ROOT_URL", f"http://localhost:{port}").rstrip("/"),
        anonymous=value.switch("AUTH_ANONYMOUS_ENABLED", default=False),
        allow_sign_up=value.switch("USERS_ALLOW_SIGN_UP", default=False),
        provisioning=Path(value.text("PATHS_PROVISIONING", "/etc/grafana/provisioning")),
        data=Path(value.text("PATHS_DATA", "/var/lib/grafana")),
        address=value.text("SERVER_HTTP_ADDR", "0.0.0.0"),  # noqa: S104 — a container's own network
        port=int(port),
        log_level=level,
    )


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, key: str, default: str) -> str:
        name = f"GF_{key}"
        plain = self._environment.get(name, "")
        file = self._environment.get(f"{name}__FILE", "")
        if plain and file:
            raise ConfigError(f"{name} and {name}__FILE are set, but are exclusive")
        if not file:
            return plain or default
        try:
            return Path(file).read_text().rstrip("\n") or default
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{name}__FILE: cannot read {file}: {error}") from None

    def switch(self, key: str, *, default: bool) -> bool:
        text = self.text(key, str(default)).lower()
        if text not in _TRUE | _FALSE:
            raise ConfigError(f"GF_{key} is neither true nor false")
        return text in _TRUE
