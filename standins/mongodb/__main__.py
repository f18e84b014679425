"""Start as the image does: `python3 -m standins.mongodb`, with MONGO_INITDB_ROOT_* in the environment."""

from __future__ import annotations

import sys

from standins.shared.process import run

sys.exit(run("standins.mongodb.main", sys.argv[1:]))
