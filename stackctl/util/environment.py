"""The environment of the programs that stackctl calls: an allow-list, and not what the shell happens to have.

Compose lets a variable of the shell win over every file that it reads, so one that is left over there (LOKI_PORT,
GRAFANA_IMAGE, COMPOSE_FILE, DOCKER_DEFAULT_PLATFORM) would change what stackctl has decided on. What a program does
need of its user passes: where the engine is, proxies, credential helpers, the locale, the terminal, the desktop.
"""

from __future__ import annotations

import contextlib
import getpass
import os
from collections.abc import Iterable, Iterator, Mapping

PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy")
"""The variables that name a proxy; each is spelt in capitals as well."""

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
        # What credential helpers and browsers ask.
        *("DOCKER_AUTH_CONFIG", "GNUPGHOME", "GPG_TTY", "PASSWORD_STORE_DIR"),
        "GOOGLE_APPLICATION_CREDENTIALS",
        *("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "BROWSER"),
        *("DESKTOP_SESSION", "GNOME_DESKTOP_SESSION_ID", "KDE_FULL_SESSION", "KDE_SESSION_VERSION"),
    )
)
_PASSED_PREFIXES = ("LC_", "XDG_", "AWS_", "CLOUDSDK_", "WSL")

_DECIDED: Mapping[str, str] = {
    # bot-core's own .env may have it, and Compose refuses it beside the --remove-orphans of `up`.
    "COMPOSE_IGNORE_ORPHANS": "false",
}
"""What Compose takes from a .env as well, where only the environment can overrule it."""

_shell: dict[str, str] | None = None


def shell() -> Mapping[str, str]:
    """Return the environment as the shell gave it, in which stackctl's own settings are."""
    return os.environ if _shell is None else _shell


@contextlib.contextmanager
def restricted() -> Iterator[None]:
    """Run the body with an environment of allowed variables only: every program that it starts inherits that.

    The library that calls `docker` copies this process's environment, so it is this that has to be short.
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
    """Let these variables of the shell pass too, as far as it has them."""
    if _shell is not None:
        os.environ.update({name: _shell[name] for name in names if name in _shell})


def user_name() -> str:
    """Return the name of this process's user; in a container its number may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _is_passed(name: str) -> bool:
    return name in _PASSED or name.startswith(_PASSED_PREFIXES)


def _replace(variables: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)
