"""Start with Alloy's arguments: `python3 -m standins.promtail.alloy run --storage.path=/data config.alloy`."""

from __future__ import annotations

import sys

from standins.shared.process import run

sys.exit(run("standins.promtail.alloy.main", sys.argv[1:]))
