"""Start with Loki's flags: `python3 -m standins.loki -config.file=loki-config.yml`."""

from __future__ import annotations

import sys

from standins.shared.process import run

sys.exit(run("standins.loki.main", sys.argv[1:]))
