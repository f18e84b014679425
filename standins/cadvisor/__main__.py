"""Start as the image does: `python3 -m standins.cadvisor`."""

from __future__ import annotations

import sys

from standins.shared.process import run

sys.exit(run("standins.cadvisor.main", sys.argv[1:]))
