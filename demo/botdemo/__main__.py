"""Start one role: `python3 -m botdemo rust-core-engine`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from datetime import UTC, datetime

from botdemo import app, logs
from botdemo.roles import ROLES
from botdemo.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Run the role that `arguments` name until SIGTERM and return 0; exit with 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="botdemo", description="Run one of bot-core's services.")
    parser.add_argument("role", choices=sorted(ROLES), help="the service to run")
    role = ROLES[parser.parse_args(arguments).role]
    try:
        settings = Settings.from_environment(os.environ)
    except ValueError as error:
        parser.error(str(error))
    logs.configure(role.name, role.log_format, sys.stdout)
    sys.excepthook = logs.uncaught
    asyncio.run(app.serve(role(settings, datetime.now(UTC))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
