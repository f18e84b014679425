"""Start as the image does: `python3 -m standins.grafana`, configured only by GF_* variables."""

from __future__ import annotations

import sys

from standins.shared.process import run

sys.exit(run("standins.grafana.main", sys.argv[1:]))
