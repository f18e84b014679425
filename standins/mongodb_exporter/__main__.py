"""Start as the image does: `python3 -m standins.mongodb_exporter`, with MONGODB_URI in the environment."""

from __future__ import annotations

import sys

from standins.shared.process import run

sys.exit(run("standins.mongodb_exporter.main", sys.argv[1:]))
