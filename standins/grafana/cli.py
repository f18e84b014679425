"""The one command of `grafana cli` that stackctl uses: `admin reset-admin-password [--password-from-stdin | PASSWORD]`.

The image calls it `grafana`; GF_PATHS_DATA names the folder of the account, as for the server.
"""

from __future__ import annotations

import sys

from standins.grafana import FULL_VERSION, settings
from standins.grafana.account import Account, WeakPassword
from standins.shared.process import ConfigError, UsageError

_COMMAND = ["cli", "admin", "reset-admin-password"]
_FROM_STDIN = "--password-from-stdin"


def main(arguments: list[str]) -> None:
    """Run the command. Raises UsageError for any other command, ConfigError if it fails."""
    if arguments in (["--version"], ["-v"]):
        sys.stdout.write(f"grafana version {FULL_VERSION}\n")
        return
    if arguments[:3] != _COMMAND or len(arguments) != 4:
        raise UsageError(f"usage: grafana {' '.join(_COMMAND)} {_FROM_STDIN}")
    if arguments[3] == _FROM_STDIN:
        line = sys.stdin.readline()
        if not line:
            raise ConfigError("can't read password from stdin")
        password = line.rstrip("\r\n")
    else:
        password = arguments[3]
    try:
        Account(settings.load().data).set_password(password)
    except WeakPassword as error:
        raise ConfigError(str(error)) from None
    sys.stdout.write("Admin password changed successfully ✔\n")
