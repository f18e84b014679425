"""Loki's command line: `-config.file`, `-verify-config`, `-version`."""

from __future__ import annotations

import logging
import sys
import time
import urllib.request
from pathlib import Path

from standins.loki import VERSION, api, config, ruler, rules
from standins.loki.store import Store
from standins.shared import flags, logs, server
from standins.shared.logs import fields
from standins.shared.process import ConfigError

_FLAGS: dict[str, str | bool] = {
    "config.file": "",
    "verify-config": False,
    "version": False,
}
_HEALTH_URL = "http://127.0.0.1:3100/ready"
_HEALTH_SECONDS = 5.0

_log = logging.getLogger("standins.loki.main")


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM. Raises ConfigError."""
    if VERSION.startswith("3.") and "-health" in arguments:
        # Loki looks for its flags among the arguments and ignores others.
        urls = [one for one in arguments if one.startswith("-health.url=")]
        _check_health(urls[-1].partition("=")[2] if urls else _HEALTH_URL)
        return
    values = flags.parse(arguments, _FLAGS)
    if values["version"]:
        sys.stdout.write(f"loki, version {VERSION} (stackctl stand-in)\n")
        return
    if not values["config.file"]:
        raise ConfigError("no config file given: -config.file")
    settings = config.load(Path(str(values["config.file"])))
    logs.configure(logs.gokit, sys.stderr, settings.log_level)
    if values["verify-config"]:
        _log.info("config is valid")
        return
    try:
        store = Store(settings.folder, time.time_ns(), retention=settings.limits.retention)
        groups = ruler.groups(rules.groups(settings.ruler.folder))
    except ValueError as error:
        raise ConfigError(str(error)) from None
    _log.info(
        "Loki started",
        extra=fields(version=VERSION, standin=True, lines=store.lines, segments=store.segments),
    )
    try:
        server.serve(api.application(settings, store, groups), settings.address, settings.port)
    finally:
        store.close()


def _check_health(url: str) -> None:
    """Check whether a Loki is ready. Raises ConfigError if it is not."""
    try:
        with urllib.request.urlopen(url, timeout=_HEALTH_SECONDS):  # noqa: S310 - an address of Loki's
            sys.stdout.write("Loki is healthy\n")
    except OSError as error:
        raise ConfigError(f"Health check failed: {error}") from None
