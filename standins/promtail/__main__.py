"""Start with Promtail's flags: `python3 -m standins.promtail -config.file=promtail-config.yml`."""

from __future__ import annotations

import sys

from standins.shared.process import run

sys.exit(run("standins.promtail.main", sys.argv[1:]))
