"""Grafana's start: settings, the administrator's account, provisioning, the server."""

from __future__ import annotations

import logging
import sys

from standins.grafana import VERSION, settings, state
from standins.grafana.web import app
from standins.shared import flags, logs, server
from standins.shared.logs import fields
from standins.shared.process import UsageError

_FLAGS: dict[str, str | bool] = {
    "homepath": "",
    "config": "",
    "packaging": "",
    "v": False,
    "version": False,
}

_log = logging.getLogger("standins.grafana.server")


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM. Raises ConfigError."""
    values = flags.parse([word for word in arguments if word != "server"], _FLAGS)
    if values["v"] or values["version"]:
        sys.stdout.write(f"Version {VERSION} (stackctl stand-in)\n")
        return
    if values["config"]:
        raise UsageError("-config: the stand-in reads its settings only from GF_… variables")
    chosen = settings.load()
    logs.configure(logs.grafana, sys.stdout, chosen.log_level)
    everything, is_new = state.start(chosen)
    if is_new:
        _log.info("Created default admin", extra=fields(user=chosen.admin_user))
    _log.info(
        "Starting Grafana",
        extra=fields(
            version=VERSION,
            standin=True,
            datasources=len(everything.sources),
            dashboards=len(everything.dashboards),
        ),
    )
    server.serve(app.application(everything), chosen.address, chosen.port)
