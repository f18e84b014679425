"""Alloy's command line: `run`, `validate` and `--version`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from aiohttp import web

from standins.promtail import program
from standins.promtail.alloy import config
from standins.promtail.application import application
from standins.shared import flags, logs, server
from standins.shared.logs import fields
from standins.shared.process import ConfigError, UsageError

_RUN: dict[str, str | bool] = {
    "server.http.listen-addr": "127.0.0.1:12345",
    "storage.path": "data-alloy/",
    "stability.level": "generally-available",
    "disable-reporting": False,
}
_CHECK: dict[str, str | bool] = {"stability.level": "generally-available"}

_log = logging.getLogger("standins.promtail.alloy")


def main(arguments: list[str]) -> None:
    """Run until SIGTERM. Raises ConfigError."""
    match arguments:
        case ["--version" | "-v"]:
            version = program.alloy("", "").version
            sys.stdout.write(f"alloy, version v{version} (stackctl stand-in)\n")
        case ["run", *options, path]:
            _run(flags.parse(options, _RUN), Path(path))
        case ["validate", *options, path]:
            flags.parse(options, _CHECK)
            # Arguments that need another level are reported when a component is built, which `validate` does not do.
            config.load(Path(path), storage=Path(), address="", port=0, experimental=True)
        case _:
            raise UsageError("the stand-in has `run [flags] PATH` and `validate [flags] PATH`")


def _run(values: dict[str, str | bool], path: Path) -> None:
    host, _, port = str(values["server.http.listen-addr"]).rpartition(":")
    if not port.isdecimal():
        raise UsageError("--server.http.listen-addr: no port")
    experimental = values["stability.level"] == "experimental"
    storage = Path(str(values["storage.path"]))
    settings = config.load(
        path, storage=storage, address=host, port=int(port), experimental=experimental
    )
    components = config.read(path)
    logs.configure(logs.gokit, sys.stderr, settings.log_level)
    own = program.alloy(components.write, components.source)
    _log.info("starting Alloy", extra=fields(version=own.version, standin=True))
    app = application(settings, own)

    async def ready(_request: web.Request) -> web.Response:
        return web.Response(text="Alloy is ready.\n")

    app.router.add_get("/-/ready", ready)
    try:
        server.serve(app, settings.address, settings.port)
    except ConfigError as error:
        raise ConfigError(f"failed to start the HTTP server: {error}") from None
