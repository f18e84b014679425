"""The environment of the programs that stackctl runs: an allow-list instead of everything in the shell.

In Compose, variables of the shell override every file, so a leftover variable (LOKI_PORT, GRAFANA_IMAGE, COMPOSE_FILE,
DOCKER_DEFAULT_PLATFORM) would change what stackctl decided. Variables that programs do need are passed on: those for
the engine, proxies, credential helpers, the locale, the terminal and the desktop.
"""

from __future__ import annotations

import contextlib
import getpass
import os
from collections.abc import Iterable, Iterator, Mapping

PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy")
"""The variables for proxies, which also exist in upper case."""

_PASSED = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TMP", "TEMP", "TZ"),
        *("LANG", "LANGUAGE", "TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"),
        # Where the engine is, and how it is reached.
        *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_API_VERSION"),
        *("DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CUSTOM_HEADERS"),
        *("SSH_AUTH_SOCK", "SSH_AGENT_PID", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR"),
        *(name for proxy in (*PROXIES, "no_proxy") for name in (proxy, proxy.upper())),
        # Used by credential helpers and browsers.
        *("DOCKER_AUTH_CONFIG", "GNUPGHOME", "GPG_TTY", "PASSWORD_STORE_DIR"),
        "GOOGLE_APPLICATION_CREDENTIALS",
        *("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "BROWSER"),
        *("DESKTOP_SESSION", "GNOME_DESKTOP_SESSION_ID", "KDE_FULL_SESSION", "KDE_SESSION_VERSION"),
    )
)
_PASSED_PREFIXES = ("LC_", "XDG_", "AWS_", "CLOUDSDK_", "WSL")

_DECIDED: Mapping[str, str] = {
    # bot-core's own .env may set it, and Compose rejects it together with the --remove-orphans of `up`.
    "COMPOSE_IGNORE_ORPHANS": "false",
}
"""Variables that Compose also reads from a .env file, which only the environment can override."""

_shell: dict[str, str] | None = None


def shell() -> Mapping[str, str]:
    """Return the shell's original environment, which contains stackctl's own settings."""
    return os.environ if _shell is None else _shell


@contextlib.contextmanager
def restricted() -> Iterator[None]:
    """Run the body with only the allowed variables in the environment, which every program it starts inherits.

    The library that runs `docker` copies this process's environment, so that is what has to be restricted.
    """
    global _shell
    outer = _shell
    _shell = dict(os.environ)
    allowed = {name: value for name, value in _shell.items() if _is_passed(name)}
    try:
        _replace({**allowed, **_DECIDED})
        yield
    finally:
        _replace(_shell)
        _shell = outer


def pass_on(names: Iterable[str]) -> None:
    """Also pass on these variables, if the shell has them."""
    if _shell is not None:
        os.environ.update({name: _shell[name] for name in names if name in _shell})


def user_name() -> str:
    """Return the name of this process's user, or its ID if it has no name, as may be the case in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _is_passed(name: str) -> bool:
    return name in _PASSED or name.startswith(_PASSED_PREFIXES)


def _replace(variables: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)
