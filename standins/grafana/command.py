"""Start the command line: `python3 -m standins.grafana.command cli admin reset-admin-password …`."""

from __future__ import annotations

import sys

from standins.shared.process import run

sys.exit(run("standins.grafana.cli", sys.argv[1:]))
